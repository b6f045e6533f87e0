"""Exports come back as they were written, and nothing else is taken for one."""

import csv
import hashlib
import io
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.chain import BrokenAt, Entry, verify_chain
from pipeline.domain.export import LONGEST_LINE, csv_header, csv_line, json_line, read_entries
from pipeline.errors import CorruptedError
from tests.unit.domain.test_chain import HISTORIES, THREE, calm


def as_json(entries: list[Entry]) -> bytes:
    return "".join(map(json_line, entries)).encode()


def as_csv(entries: list[Entry]) -> bytes:
    return (csv_header() + "".join(map(csv_line, entries))).encode()


def in_pieces(content: bytes, size: int) -> list[bytes]:
    return [content[n : n + size] for n in range(0, len(content), size)]


@calm
@given(HISTORIES, st.sampled_from([as_json, as_csv]), st.integers(1, 200))
def test_an_export_is_read_as_it_was_written(entries: list[Entry], write: Any, size: int) -> None:  # noqa: ANN401 - either
    read = list(read_entries(in_pieces(write(entries), size)))
    assert [entry.hash for entry in read] == [entry.hash for entry in entries]
    assert verify_chain(read, "fraud") == entries[-1].head


@calm
@given(HISTORIES)
def test_a_line_without_its_hash_is_what_was_hashed(entries: list[Entry]) -> None:
    for entry in entries:
        line = json_line(entry).rstrip("\n")
        said = re.sub(f'"hash":"{entry.hash}",', "", line)
        assert hashlib.sha256(said.encode()).hexdigest() == entry.hash


def test_the_csv_is_as_every_other_program_reads_it() -> None:
    entry = replace(THREE[0], data={"reason": 'a "quoted", text\nof two lines'})
    heading, row = csv.reader(io.StringIO(csv_header() + csv_line(entry)))
    assert heading == list(Entry.__slots__)
    assert json.loads(row[5]) == entry.data
    assert csv_line(entry).count("\n") == 1


def test_an_export_without_a_last_line_break_is_whole() -> None:
    assert list(read_entries([as_json(THREE).rstrip()])) == THREE
    assert list(read_entries([])) == []
    assert list(read_entries([as_csv([])])) == []


def test_a_forged_entry_that_rfc_8785_cannot_write_is_exported_and_found() -> None:
    forged = replace(THREE[1], data={"n": float("nan")})
    read = read_entries([as_json([THREE[0], forged])])
    found = verify_chain(read, "fraud")
    assert isinstance(found, BrokenAt)
    assert found.number == 2


LINE = json_line(THREE[0]).encode()
ROW = csv_line(THREE[0]).encode()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"{", "line 2.*Expecting"),
        (b"[]", "other fields"),
        (b"{}", "other fields"),
        (LINE.replace(b'"number":1', b'"number":"1"'), "other types"),
        (LINE.replace(b'"number":1', b'"number":true'), "other types"),
        (LINE.replace(b'"number":1', b'"number":1,"number":1'), "a key twice"),
        (LINE.replace(b'"data":{}', b'"data":{"a":1,"a":2}'), "a key twice"),
        (LINE.replace(b'"kind"', b'"sort"'), "other fields"),
        (b'{"a":' + b"[" * 100_000, "line 2"),
        (b"\xff", "not UTF-8"),
        (b" ", "line 2"),
    ],
)
def test_a_line_that_is_no_entry_is_named(line: bytes, why: str) -> None:
    with pytest.raises(CorruptedError, match=why):
        list(read_entries([LINE, line]))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a,b\r\n", "line 1.*other columns"),
        (csv_header().encode() + b"1,2\r\n", "line 2"),
        (csv_header().encode() + ROW.replace(b",1,", b",x,"), "line 2"),
        (csv_header().encode() + b'"a\r\n', "line 2"),
        (csv_header().encode() + b"\r\n", "line 2"),
    ],
)
def test_a_row_that_is_no_entry_is_named(content: bytes, why: str) -> None:
    with pytest.raises(CorruptedError, match=why):
        list(read_entries([content]))


def test_a_line_without_an_end_is_not_read_into_memory() -> None:
    with pytest.raises(CorruptedError, match="4 MiB"):
        list(read_entries(b"x" * (1 << 20) for _ in range((LONGEST_LINE >> 20) + 1)))
