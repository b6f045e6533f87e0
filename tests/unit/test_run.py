"""How a step is carried out: once, patiently, told to the ledger, and stopped within a second."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.domain.evidence import Broken, Refused, ResolvedModel, Stopped
from pipeline.domain.promotion import Control, ControlKind, Phase
from pipeline.errors import (
    ForbiddenError,
    PermanentError,
    RateLimitedError,
    StepError,
    UnavailableError,
)
from pipeline.record import Record
from pipeline.run import PATIENCE, Ended, Run
from tests.fakes.clock import START
from tests.unit.promotion_scene import MODEL, InMemoryCheckpoints, Scene, scene
from tests.unit.steps.model_scene import MODEL as VERSION

RESOLVED = ResolvedModel(VERSION, "champion", "r-1", "m-1", "models:/m-1", "/a", {})
AWAY = UnavailableError("read the version", "MLflow", "is it running?")


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        made.accept(1)
        yield made


class Asked:
    """A step that raises each fault in turn, then answers; ``times`` counts."""

    def __init__(self, *faults: StepError, answer: object = RESOLVED) -> None:
        self.faults = list(faults)
        self.answer = answer
        self.times = 0

    def step(self) -> ResolvedModel:
        self.times += 1
        if self.faults:
            raise self.faults.pop(0)
        return self.answer  # type: ignore[return-value]  # a test may have it refuse


def run_of(one: Scene, checkpoints: InMemoryCheckpoints | None = None, places: int = 1) -> Run:
    record = Record(one.promotions[-1], one.ledger, one.clock)
    engine = checkpoints or InMemoryCheckpoints()
    return Run(record, engine, one.clock, threading.Semaphore(places))


def test_a_step_is_done_once_per_attempt_and_told(one: Scene) -> None:
    asked, checkpoints = Asked(), InMemoryCheckpoints()
    assert run_of(one, checkpoints).step(asked.step) == RESOLVED
    assert run_of(one, checkpoints).step(asked.step) == RESOLVED
    assert asked.times == 1
    accepted, *events = one.ledger.events.of(one.promotions[0].id)
    assert accepted.kind == "accepted"
    assert [(e.kind, e.data["name"]) for e in events] == [
        ("step_started", "step"),
        ("step_ended", "step"),
    ]
    assert events[1].data["phase"] == "succeeded"
    assert events[1].data["evidence"]["source"] == "models:/m-1"


def test_a_new_attempt_counts_on(one: Scene) -> None:
    for _ in range(3):
        run_of(one).step(Asked().step)
    started = one.ledger.events.of(one.promotions[0].id, kind="step_started")
    assert [event.data["attempt"] for event in started] == [1, 2, 3]


@pytest.mark.parametrize(
    ("outcome", "phase"),
    [
        (Refused("no, because"), Phase.FAILED),
        (Stopped(Control(ControlKind.ABORT, "ada", "no, because", START)), Phase.ABORTED),
        (Stopped(Control(ControlKind.SUPERSEDE, "m", "no, because", START)), Phase.SUPERSEDED),
        (Broken("no, because"), Phase.ERRORED),
    ],
)
def test_a_bad_outcome_ends_the_attempt_with_its_reason(
    one: Scene, outcome: object, phase: Phase
) -> None:
    with pytest.raises(Ended) as ended:
        run_of(one).step(Asked(answer=outcome).step)
    assert (ended.value.phase, ended.value.reason) == (phase, "no, because")
    (told,) = one.ledger.events.of(one.promotions[0].id, kind="step_ended")
    assert told.data["phase"] == phase.value
    assert told.data["evidence"]["reason"] == "no, because"


def test_a_neighbour_that_is_away_is_asked_again_ever_more_rarely(one: Scene) -> None:
    asked = Asked(*[AWAY] * 9)
    run_of(one).step(asked.step)
    assert one.clock.elapsed == 1 + 2 + 4 + 8 + 16 + 32 + 60 + 60 + 60
    assert len(one.ledger.events.of(one.promotions[0].id, kind="retry")) == 9


def test_a_neighbour_that_names_a_wait_gets_it_up_to_a_minute(one: Scene) -> None:
    busy = [RateLimitedError("ask", "MLflow", "slow down", retry_after=n) for n in (7, 3600)]
    run_of(one).step(Asked(*busy).step)
    assert one.clock.elapsed == 7 + 60


def test_while_it_waits_the_promotion_says_for_what_and_since_when(one: Scene) -> None:
    seen = []
    one.clock.passing.append(lambda _seconds: seen.append(one.promotions[0].waiting))
    run_of(one).step(Asked(*[AWAY] * 3).step)
    assert {(w.for_, w.since) for w in seen if w} == {("MLflow", START)}
    assert one.promotions[0].waiting is None


def test_after_a_day_of_waiting_it_ends_errored_and_says_what_to_do(one: Scene) -> None:
    def hangs_for_an_hour() -> ResolvedModel:
        one.clock.sleep(3600)
        raise AWAY

    with pytest.raises(Ended) as ended:
        run_of(one).step(hangs_for_an_hour)
    assert ended.value.phase is Phase.ERRORED
    assert "is it running?" in ended.value.reason
    assert timedelta(0) < one.clock.now() - START - PATIENCE <= timedelta(hours=1)


def test_a_fault_that_waiting_does_not_mend_ends_errored_at_once(one: Scene) -> None:
    asked = Asked(PermanentError("write", "the disk", "free some space"))
    with pytest.raises(Ended) as ended:
        run_of(one).step(asked.step)
    assert (ended.value.phase, asked.times) == (Phase.ERRORED, 1)
    assert "free some space" in ended.value.reason


def test_a_fault_of_our_own_ends_errored_and_is_logged(
    one: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    def bug() -> ResolvedModel:
        raise KeyError("no such thing")

    with pytest.raises(Ended) as ended:
        run_of(one).step(bug)
    assert ended.value.phase is Phase.ERRORED
    assert "step bug broke: KeyError" in caplog.text + ended.value.reason


def test_a_decision_ends_the_waiting_within_a_second(one: Scene) -> None:
    def decide_at_the_third_second(_seconds: float) -> None:
        if one.clock.elapsed == 3:
            one.decide(ControlKind.ABORT)

    one.clock.passing.append(decide_at_the_third_second)
    with pytest.raises(Ended) as ended:
        run_of(one).step(Asked(*[AWAY] * 100).step)
    assert ended.value.phase is Phase.ABORTED
    assert one.clock.elapsed <= 4


def test_heavy_steps_share_few_places(one: Scene) -> None:
    places, inside, most = threading.Semaphore(2), [0], [0]
    gate = threading.Barrier(2)

    def heavy() -> ResolvedModel:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        gate.wait(timeout=10)
        inside[0] -= 1
        return RESOLVED

    def carry() -> None:
        record = Record(one.promotions[0], one.ledger, one.clock)
        Run(record, InMemoryCheckpoints(), one.clock, places).heavy_step(heavy)

    threads = [threading.Thread(target=carry) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [2]


def test_who_has_got_a_place_among_the_heavy_waits_no_more(one: Scene) -> None:
    class Taken(threading.Semaphore):
        once = iter([False])

        def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:  # noqa: FBT001, FBT002 - as it is there
            return next(self.once, True) and super().acquire(blocking, timeout)

    waited: list[object] = []

    def heavy() -> ResolvedModel:
        waited.append(record.promotion.waiting)
        return RESOLVED

    record = Record(one.promotions[0], one.ledger, one.clock)
    Run(record, InMemoryCheckpoints(), one.clock, Taken(1)).heavy_step(heavy)
    assert waited == [None]


def test_a_heavy_step_that_was_left_keeps_its_place_until_it_has_ended(one: Scene) -> None:
    places, over = threading.Semaphore(1), threading.Event()

    def heavy() -> ResolvedModel:
        one.clock.sleep(5)
        one.decide(ControlKind.ABORT)
        over.wait(30)
        return RESOLVED

    record = Record(one.promotions[0], one.ledger, one.clock)
    with pytest.raises(Ended, match="not this one"):
        Run(record, InMemoryCheckpoints(), one.clock, places).heavy_step(heavy)
    assert not places.acquire(blocking=False)
    over.set()
    assert places.acquire(timeout=30)


def test_a_fresh_step_is_done_every_time(one: Scene) -> None:
    asked, checkpoints = Asked(), InMemoryCheckpoints()
    for _ in range(2):
        run_of(one, checkpoints).fresh(asked.step)
    assert asked.times == 2
    assert checkpoints.done == {}


def test_an_alias_that_is_gone_is_no_answer_yet(one: Scene) -> None:
    one.models.point(MODEL, "champion", None)

    def comes_back(_seconds: float) -> None:
        one.models.point(MODEL, "champion", 1)

    one.clock.passing.append(comes_back)
    run_of(one).confirm(one.models)
    assert one.clock.elapsed == 1


def test_a_right_that_is_missing_is_an_answer(one: Scene) -> None:
    def forbid() -> None:
        raise ForbiddenError("read the alias", "scorer@champion", "mend the token")

    one.models.at_read = forbid
    with pytest.raises(Ended) as ended:
        run_of(one).confirm(one.models)
    assert ended.value.phase is Phase.ERRORED


def test_a_promotion_by_hand_asks_no_alias(one: Scene) -> None:
    one.accept(2, alias=None)
    one.models.away = True
    run_of(one).confirm(one.models)
    assert one.clock.elapsed == 0


def test_what_must_be_done_is_tried_until_it_is_done_and_says_why_it_waits(one: Scene) -> None:
    full = UnavailableError("give stable everything back", "fraud", "no node can take its pod")
    run, told = run_of(one), []

    def back() -> str:
        told.append(run.promotion.waiting and run.promotion.waiting.for_)
        if len(told) <= 2:
            raise full
        if len(told) == 3:
            raise RuntimeError
        return "done"

    assert run.insist("put traffic back", back) == "done"
    assert told[0] is None
    assert told[1] == told[2] == f"a way to put traffic back: {full}"
    assert run.promotion.waiting is None
    noted = one.ledger.events.of(one.promotions[0].id, kind="retry")
    assert [event.data["why"] for event in noted] == [str(full), str(full), ""]
