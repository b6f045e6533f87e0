"""Histories as files: JSON Lines and CSV, and back, entry by entry.

A line of JSON Lines is RFC 8785 JSON of the whole entry: without its ``hash`` it is what was
hashed. In CSV, ``data`` is JSON in a cell. Both are read as strictly as if they were forged.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import rfc8785

from pipeline.domain.chain import Entry
from pipeline.errors import CorruptedError

LONGEST_LINE = 4 << 20
"""Bytes; an entry tells of evidence, and is no place for files."""

_FIELDS = Entry.__slots__
_TYPES: dict[str, tuple[type, ...]] = dict.fromkeys(_FIELDS, (str,)) | {
    "number": (int,),
    "promotion": (str, type(None)),
    "data": (dict,),
}


def json_line(entry: Entry) -> str:
    """Write an entry as a line of JSON."""
    return _canonical(asdict(entry)) + "\n"


def csv_header() -> str:
    """Name the columns."""
    return _row(_FIELDS)


def csv_line(entry: Entry) -> str:
    """Write an entry as a row; no cell begins with what a spreadsheet would calculate."""
    said = asdict(entry)
    return _row([_canonical(said[name]) if name == "data" else said[name] for name in _FIELDS])


def read_entries(chunks: Iterable[bytes]) -> Iterator[Entry]:
    """Read an export, in either form, from pieces of any size.

    Raises
    ------
    CorruptedError
        At the first line that is no entry.

    """
    csv.field_size_limit(LONGEST_LINE)  # of the process; its own is 128 KiB
    read = None
    for number, line in enumerate(_lines(chunks), start=1):
        if read is None:
            read = _from_json if line.startswith("{") else _from_csv
            if read is _from_csv:
                _require(line == csv_header().rstrip("\r\n"), number, "it names other columns")
                continue
        try:
            said = read(line)
        except (ValueError, RecursionError, csv.Error) as error:
            raise _bad(number, str(error)) from error
        _require(_is_entry(said), number, "it has other fields, or fields of other types")
        yield Entry(**said)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    number, rest = 1, b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield _decoded(line, number)
            number += 1
        _require(len(rest) <= LONGEST_LINE, number, f"it has more than {LONGEST_LINE >> 20} MiB")
    if rest:
        yield _decoded(rest, number)


def _decoded(line: bytes, number: int) -> str:
    try:
        return line.removesuffix(b"\r").decode()
    except UnicodeDecodeError as error:
        raise _bad(number, "it is not UTF-8") from error


def _from_json(line: str) -> dict[str, Any]:
    said = json.loads(line, object_pairs_hook=_once)
    return said if isinstance(said, dict) else {}


def _from_csv(line: str) -> dict[str, Any]:
    (cells,) = csv.reader([line], strict=True)
    said: dict[str, Any] = dict(zip(_FIELDS, cells, strict=True))
    said["number"] = int(said["number"])
    said["promotion"] = said["promotion"] or None
    said["data"] = json.loads(said["data"], object_pairs_hook=_once)
    return said


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object; a key twice could be read in two ways."""
    said = dict(pairs)
    if len(said) != len(pairs):
        raise ValueError("an object has a key twice")
    return said


def _is_entry(said: dict[str, Any]) -> bool:
    return said.keys() == _TYPES.keys() and all(
        type(value) in _TYPES[name] for name, value in said.items()
    )


def _canonical(value: Any) -> str:  # noqa: ANN401 - JSON
    try:
        return rfc8785.dumps(value).decode()
    except (ValueError, RecursionError):  # forged: it is shown all the same, and does not verify
        return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _row(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()


def _require(fine: bool, number: int, why: str) -> None:  # noqa: FBT001 - a guard
    if not fine:
        raise _bad(number, why)


def _bad(number: int, why: str) -> CorruptedError:
    return CorruptedError("read a history", f"line {number}", why)
