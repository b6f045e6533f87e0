"""A long step leaves within a second of a decision, without knowing of it."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest

from pipeline.domain.evidence import StoredFile
from pipeline.domain.promotion import Control, ControlKind
from pipeline.interrupts import (
    Interrupted,
    InterruptibleClock,
    InterruptibleStore,
    interruptible,
)
from tests.fakes.clock import START, FakeClock

ABORT = Control(ControlKind.ABORT, "ada", "looks wrong", START)
FILE = StoredFile("model.pkl", 3)


class Decision:
    """A decision that falls after some seconds; counts how often it was asked for."""

    def __init__(self, clock: FakeClock, after: float) -> None:
        self.clock, self.after, self.asked = clock, after, 0

    def __call__(self) -> Control | None:
        self.asked += 1
        return ABORT if self.clock.elapsed >= self.after else None


class Slow:
    """Streams a byte a tenth of a second."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...]:
        return (StoredFile(artifact_uri, 0),)

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        del artifact_uri
        for _ in range(file.size):
            self.clock.sleep(0.1)
            yield b"x"


def test_who_sleeps_long_wakes_within_a_second_of_the_decision() -> None:
    clock = FakeClock()
    sleeper = InterruptibleClock(clock, Decision(clock, after=5.5))
    with pytest.raises(Interrupted, match="looks wrong") as left:
        sleeper.sleep(3600)
    assert left.value.control == ABORT
    assert clock.elapsed <= 6.5


def test_without_a_decision_a_sleep_is_as_long_as_it_was_asked_for() -> None:
    clock = FakeClock()
    sleeper = InterruptibleClock(clock, lambda: None)
    sleeper.sleep(2.5)
    sleeper.sleep(0)
    assert clock.elapsed == 2.5
    assert sleeper.now() == START + timedelta(seconds=2.5)


def test_a_stream_ends_at_a_decision_and_asks_no_more_than_once_a_second() -> None:
    clock = FakeClock()
    decision = Decision(clock, after=4.0)
    store = InterruptibleStore(Slow(clock), InterruptibleClock(clock, decision))
    with pytest.raises(Interrupted):
        list(store.read("/model", StoredFile("big", 1000)))
    assert clock.elapsed <= 5.1
    assert decision.asked <= 5


def test_a_stream_without_a_decision_is_whole() -> None:
    clock = FakeClock()
    store = InterruptibleStore(Slow(clock), InterruptibleClock(clock, lambda: None))
    assert b"".join(store.read("/model", FILE)) == b"xxx"
    assert store.files("/model") == (StoredFile("/model", 0),)


def test_a_clock_that_is_set_back_hides_no_decision() -> None:
    clock = FakeClock()
    sleeper = InterruptibleClock(clock, lambda: ABORT)
    clock.sleep(-3600)
    with pytest.raises(Interrupted):
        sleeper.look()


def test_what_cannot_look_by_itself_is_left_to_itself_at_a_decision() -> None:
    clock, over, ended = FakeClock(), threading.Event(), threading.Event()

    def resolve() -> None:
        clock.sleep(5)  # the decision falls meanwhile
        over.wait(30)
        ended.set()

    with pytest.raises(Interrupted, match="looks wrong"):
        interruptible(resolve, InterruptibleClock(clock, Decision(clock, after=5)))
    assert not ended.is_set()
    over.set()
    assert ended.wait(30)


def test_without_a_decision_its_answer_or_its_fault_is_passed_on() -> None:
    clock = InterruptibleClock(FakeClock(), lambda: None)

    def breaks() -> None:
        raise TimeoutError("of its own")

    assert interruptible(lambda: 7, clock) == 7
    with pytest.raises(TimeoutError, match="of its own"):
        interruptible(breaks, clock)
