"""From one object to the next as one patch, in which every change has its guard."""

from copy import deepcopy
from typing import Any

import jsonpatch
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.kserve.json_patch import Json, difference, pointer

KEYS = st.sampled_from(["name", "a", "b/c", "d~e", "~1", ""])
LEAVES: st.SearchStrategy[Any] = st.sampled_from([True, False, 0, 1, "x", "y", "", [], {}])
ITEMS = LEAVES | st.dictionaries(KEYS, LEAVES, max_size=3)
OBJECTS = st.dictionaries(KEYS, ITEMS | st.lists(ITEMS, max_size=4), max_size=4)
"""As deep as what stands in a container; the API server keeps no null."""


ANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def applied(before: Json, operations: list[Json]) -> Json:
    """Apply as the API server does: there a test of null passes where nothing is."""
    now = deepcopy(before)
    for operation in operations:
        if operation["op"] == "test" and operation["value"] is None:
            with pytest.raises(jsonpatch.JsonPointerException):
                jsonpatch.JsonPointer(operation["path"]).resolve(now)
        else:
            now = jsonpatch.apply_patch(now, [operation])
    return now


@ANY
@given(OBJECTS, OBJECTS)
def test_the_patch_turns_one_object_into_the_other(before: Json, after: Json) -> None:
    now = applied(before, difference(before, after))
    assert difference(now, after) == []
    assert now == after


@ANY
@given(OBJECTS)
def test_equal_objects_need_no_patch(value: Json) -> None:
    assert difference(value, deepcopy(value)) == []


@ANY
@given(OBJECTS, OBJECTS)
def test_every_change_of_something_known_is_guarded(before: Json, after: Json) -> None:
    guarded: set[str] = set()
    for operation in difference(before, after):
        if operation["op"] == "test":
            guarded.add(operation["path"])
        else:
            appended = operation["path"].endswith("/-")
            assert appended or operation["path"] in guarded


def test_a_guard_fails_where_somebody_wrote_meanwhile() -> None:
    before = {"image": "a", "env": [{"name": "X", "value": "1"}]}
    after = {"image": "b", "env": [{"name": "X", "value": "2"}]}
    operations = difference(before, after)
    for meanwhile in (
        {"image": "c", "env": before["env"]},
        {"image": "a", "env": [{"name": "Y"}, {"name": "X", "value": "1"}]},
        {"image": "a", "env": [{"name": "Y", "value": "1"}]},
    ):
        with pytest.raises((jsonpatch.JsonPatchTestFailed, jsonpatch.JsonPatchConflict)):
            jsonpatch.apply_patch(meanwhile, operations)


def test_what_is_added_must_still_be_absent() -> None:
    assert difference({}, {"timeout": 3}) == [
        {"op": "test", "path": "/timeout", "value": None},
        {"op": "add", "path": "/timeout", "value": 3},
    ]


def test_a_one_is_not_true() -> None:
    assert difference({"a": 1}, {"a": True})
    assert difference({"a": [1]}, {"a": [True]})


def test_a_pointer_escapes_what_separates() -> None:
    assert pointer("metadata", "laurel.dev/a~b", 0) == "/metadata/laurel.dev~1a~0b/0"
