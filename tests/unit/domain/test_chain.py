"""Whatever is done to a history but adding to it, is found."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.domain.chain import (
    BrokenAt,
    Entry,
    Head,
    beginning,
    contradiction,
    fingerprint,
    following,
    seal,
    verify_chain,
)

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
_TEXT = st.text(max_size=8)
_PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), _TEXT
)
_JSON = _PLAIN | st.lists(_PLAIN, max_size=2) | st.dictionaries(_TEXT, _PLAIN, max_size=2)
_DATA = st.dictionaries(_TEXT, _JSON, max_size=2)
_TOLD = st.tuples(st.none() | st.sampled_from(["p-1", "p-2"]), st.sampled_from("abc"), _DATA)


def chained(told: list[tuple[str | None, str, dict[str, Any]]], service: str) -> list[Entry]:
    head, entries = beginning(service), []
    for promotion, kind, data in told:
        at = f"2026-11-21T08:00:{head.number % 60:02}.000000Z"
        entry = following(head, service=service, promotion=promotion, at=at, kind=kind, data=data)
        entries.append(entry)
        head = entry.head
    return entries


def histories(least: int) -> st.SearchStrategy[list[Entry]]:
    told = st.lists(_TOLD, min_size=least, max_size=5)
    return told.map(lambda told: chained(told, "fraud"))


HISTORIES = histories(1)
THREE = chained([(None, "a", {}), (None, "b", {}), (None, "c", {})], "fraud")


@calm
@given(HISTORIES)
def test_a_history_as_it_was_told_verifies(entries: list[Entry]) -> None:
    assert verify_chain(entries, "fraud") == entries[-1].head


@calm
@given(HISTORIES, st.integers(0, 5))
def test_a_history_may_be_read_on(entries: list[Entry], length: int) -> None:
    first = verify_chain(entries[:length], "fraud")
    assert isinstance(first, Head)
    assert verify_chain(entries[length:], "fraud", first) == entries[-1].head
    if 1 < length < len(entries):
        assert isinstance(verify_chain(entries[length:], "fraud", entries[0].head), BrokenAt)


@calm
@given(HISTORIES)
def test_a_history_verifies_after_a_journey_through_anybodys_json(entries: list[Entry]) -> None:
    lines = [json.dumps({name: getattr(e, name) for name in Entry.__slots__}) for e in entries]
    read = [Entry(**json.loads(line)) for line in lines]
    assert verify_chain(read, "fraud") == entries[-1].head


@calm
@given(HISTORIES, st.data())
def test_an_altered_entry_is_found_where_it_stands(
    entries: list[Entry], draw: st.DataObject
) -> None:
    place = draw.draw(st.integers(0, len(entries) - 1))
    name = draw.draw(st.sampled_from(Entry.__slots__))
    old = getattr(entries[place], name)
    others: dict[str, st.SearchStrategy[Any]] = {
        "number": st.integers(0, 20),
        "data": _DATA,
        "promotion": st.none() | _TEXT,
    }
    new = draw.draw(
        others.get(name, _TEXT).filter(lambda new: fingerprint(new) != fingerprint(old))
    )
    entries[place] = replace(entries[place], **{name: new})
    found = verify_chain(entries, "fraud")
    assert isinstance(found, BrokenAt)
    assert found.number == place + 1


@calm
@given(HISTORIES, st.data())
def test_an_altered_entry_that_was_sealed_anew_is_found_by_the_next(
    entries: list[Entry], draw: st.DataObject
) -> None:
    place = draw.draw(st.integers(0, len(entries) - 1))
    altered = replace(entries[place], kind="another")
    entries[place] = replace(altered, hash=seal(altered))
    found = verify_chain(entries, "fraud")
    if place == len(entries) - 1:  # only a head that stands elsewhere tells
        assert found != THREE[-1].head
        assert isinstance(found, Head)
    else:
        assert isinstance(found, BrokenAt)
        assert found.number == place + 2
        assert "does not follow" in found.why


@calm
@given(histories(2), st.data())
def test_a_removed_a_swapped_and_an_inserted_entry_are_found(
    entries: list[Entry], draw: st.DataObject
) -> None:
    place = draw.draw(st.integers(0, len(entries) - 2))
    one, other = entries[place], entries[place + 1]
    for forged in ([other], [other, one], [one, one, other]):
        found = verify_chain([*entries[:place], *forged, *entries[place + 2 :]], "fraud")
        assert isinstance(found, BrokenAt)
        assert found.number in {place + 1, place + 2}
        assert "is not there" in found.why


@calm
@given(HISTORIES, st.integers(0, 5))
def test_a_cut_off_tail_has_another_head(entries: list[Entry], length: int) -> None:
    whole, cut = entries[-1].head, entries[:length]
    head = verify_chain(cut, "fraud")
    assert isinstance(head, Head)
    assert (head == whole) == (len(cut) == len(entries))


@calm
@given(HISTORIES, HISTORIES, st.integers(0, 5))
def test_a_stated_head_finds_cut_off_tails_and_histories_told_anew(
    entries: list[Entry], others: list[Entry], length: int
) -> None:
    hashes = [entry.hash for entry in entries]
    for head in (beginning("fraud"), *(entry.head for entry in entries)):
        assert contradiction(head, hashes, "fraud") == ""
        cut = contradiction(head, hashes[:length], "fraud")
        assert bool(cut) == (head.number > length)
        anew = contradiction(head, [entry.hash for entry in others], "fraud")
        assert bool(anew) == (head.number > 0 and head not in [other.head for other in others])
    assert "is another" in contradiction(Head(0, "0" * 64), hashes, "fraud")


def test_a_history_is_of_its_service() -> None:
    assert verify_chain(THREE, "churn") == BrokenAt(1, "entry 1 is of the service fraud")
    theirs = chained([(None, "a", {})], "churn")
    relabelled = replace(theirs[0], service="fraud")
    forged = replace(relabelled, hash=seal(relabelled))
    found = verify_chain([forged], "fraud")
    assert isinstance(found, BrokenAt)
    assert found.why.startswith("entry 1 does not follow the beginning")


def test_a_history_without_entries_ends_where_it_begins() -> None:
    beginning_of_fraud = hashlib.sha256(b"laurel history v1\nfraud").hexdigest()
    assert verify_chain([], "fraud") == beginning("fraud") == Head(0, beginning_of_fraud)


@pytest.mark.parametrize("what", [float("nan"), 2**60, "\ud800"])
def test_what_rfc_8785_cannot_write_is_told_as_text_and_found_in_what_others_wrote(
    what: object,
) -> None:
    (told,) = chained([(None, "a", {"x": [what], "true": True})], "fraud")
    assert isinstance(told.data["x"][0], str)
    assert told.data["true"] is True
    assert rfc8785.dumps(told.data)
    found = verify_chain([replace(THREE[0], data={"x": what})], "fraud")
    assert isinstance(found, BrokenAt)
    assert "RFC 8785" in found.why


def test_an_entry_too_deep_to_be_written_is_found() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    found = verify_chain([replace(THREE[0], data={"x": deep})], "fraud")
    assert isinstance(found, BrokenAt)


def test_an_entrys_hash_is_that_of_its_rfc_8785_json() -> None:
    head = beginning("fraud")
    data = {"€": "\u20ac\n", "n": 1e-7, "m": 100.0, "z": [None, True]}
    entry = following(head, service="fraud", promotion=None, at="2026-11-21", kind="k", data=data)
    written = (
        '{"at":"2026-11-21","data":{"m":100,"n":1e-7,"z":[null,true],"€":"€\\n"},"kind":"k",'
        f'"number":1,"previous":"{head.hash}","promotion":null,"service":"fraud"}}'
    )
    assert entry.hash == hashlib.sha256(written.encode()).hexdigest()
    assert fingerprint({"b": 1.0, "a": "x"}) == fingerprint({"a": "x", "b": 1})
