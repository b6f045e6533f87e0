"""Waiting by watch: until something holds, until it cannot, or until the time is over."""

from collections.abc import Iterator

import pytest

from pipeline.kserve.json_patch import Json
from pipeline.kserve.resources import INFERENCE_SERVICES, Resource
from pipeline.kserve.waiting import until


class Changes:
    """A watch that gives what it was told, and notes that it was closed."""

    def __init__(self, *given: Json | None) -> None:
        self.given = given
        self.closed = False
        self.asked: tuple[Resource, str, float] | None = None

    def watch(self, kind: Resource, name: str, *, seconds: float) -> Iterator[Json | None]:
        self.asked = (kind, name, seconds)
        try:
            yield from self.given
        finally:
            self.closed = True


def test_the_first_result_ends_the_wait_and_the_watch() -> None:
    changes = Changes(None, {"at": 1}, {"at": 2})
    seen: list[Json | None] = []

    def look(now: Json | None) -> str | None:
        seen.append(now)
        return "here" if now else None

    assert until(changes, INFERENCE_SERVICES, "fraud", look, seconds=9) == "here"
    assert seen == [None, {"at": 1}]
    assert changes.closed
    assert changes.asked == (INFERENCE_SERVICES, "fraud", 9)


def test_a_watch_that_ends_without_a_result_has_none() -> None:
    changes = Changes({"at": 1})
    assert until(changes, INFERENCE_SERVICES, "fraud", lambda _: None, seconds=1) is None
    assert changes.closed


def test_what_makes_waiting_senseless_ends_it() -> None:
    changes = Changes({"at": 1})

    def look(_: Json | None) -> str:
        raise LookupError

    with pytest.raises(LookupError):
        until(changes, INFERENCE_SERVICES, "fraud", look, seconds=1)
    assert changes.closed
