"""A canary from its first percent to its verdict, on fakes that live by one clock."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pipeline.domain.admission import Frozen
from pipeline.domain.evidence import (
    Analysis,
    Refused,
    Stopped,
    Unknown,
)
from pipeline.domain.plan import NoData
from pipeline.errors import ForbiddenError, StaleSequenceError, UnavailableError
from pipeline.steps.canary import canary
from tests.fakes.clock import FakeClock
from tests.fakes.metrics import Behaviour
from tests.unit.steps.serving_scene import ABORT, MOVED, PLAN, SERVICE, Scene


class KilledError(BaseException):
    """Stands for a worker that is killed: nothing catches it."""


@pytest.fixture
def scene() -> Scene:
    return Scene()


def run(scene: Scene, sequence: int = 2) -> Analysis | Refused | Stopped:
    return canary(
        scene.proven,
        plan=scene.plan,
        sequence=sequence,
        target=scene.target,
        metrics=scene.metrics,
        clock=scene.clock,
        journal=scene.journal,
        freezes=scene.freezes,
        still_wanted=scene.wanted,
    )


def at(clock: FakeClock, seconds: float, act: Callable[[], None]) -> None:
    """Do something once the clock has gone so far."""
    done: list[bool] = []

    def passing(_: float) -> None:
        if not done and clock.elapsed >= seconds:
            done.append(True)
            act()

    clock.passing.append(passing)


def refused(outcome: object) -> Refused:
    assert isinstance(outcome, Refused)
    return outcome


def test_a_good_canary_passes_every_step_of_its_plan(scene: Scene) -> None:
    outcome = run(scene)
    assert isinstance(outcome, Analysis)
    assert outcome.revision == scene.revision
    assert scene.target.shifts == [10, 50]
    assert scene.percent == 50
    assert [step["percent"] for step in outcome.steps] == [10, 50]
    assert all(step["verdict"] == "pass" for step in outcome.steps)
    assert outcome.steps[0]["samples"] == {"stable": 5400, "canary": 600}
    assert "state" not in outcome.steps[0]
    assert scene.clock.elapsed == pytest.approx(120, abs=10)
    assert scene.journal.waits[-1] is None


def test_a_failing_canary_loses_its_traffic_at_once_and_first(scene: Scene) -> None:
    scene.metrics.behaviour[scene.new] = Behaviour(failing=0.4)
    outcome = refused(run(scene))
    assert scene.target.shifts == [10, 0]
    assert scene.clock.elapsed <= 10
    assert outcome.reason.startswith("fraud's canary fraud-00002 went back from 10 %: 20 of its 50")
    assert "mend the model" in outcome.reason
    assert outcome.evidence["looks"][-1]["metrics"]["errors"]["canary"]["bad"] == 20
    assert scene.journal.notes("look")[-1]["verdict"] == "fail"


def test_a_canary_that_lags_fails_on_slowness(scene: Scene) -> None:
    scene.metrics.behaviour[scene.new] = Behaviour(slow=0.5)
    assert "requests took over 20 ms" in refused(run(scene)).reason


def test_a_canary_that_turns_bad_at_a_later_step_fails_there(scene: Scene) -> None:
    bad = Behaviour(failing=0.4)
    at(scene.clock, 70, lambda: scene.metrics.behaviour.update({scene.new: bad}))
    outcome = refused(run(scene))
    assert scene.target.shifts == [10, 50, 0]
    assert "from 50 %" in outcome.reason
    assert [look["percent"] for look in outcome.evidence["looks"]] == [10, 50]


def test_a_failing_stable_makes_no_canary_fail(scene: Scene) -> None:
    for revision in (scene.stable, scene.new):
        scene.metrics.behaviour[revision] = Behaviour(failing=0.5)
    assert isinstance(run(scene), Analysis)


def test_thin_traffic_holds_the_percent_and_says_so(scene: Scene) -> None:
    scene.metrics.rate = 1.0
    assert isinstance(run(scene), Analysis)
    assert "traffic" in scene.journal.waits
    details = [look["detail"] for look in scene.journal.notes("look")]
    assert "12 of 200 requests" in details
    assert scene.clock.elapsed == pytest.approx(2000 + 400, abs=20)


def test_no_traffic_until_the_deadline_goes_back(scene: Scene) -> None:
    scene.metrics.rate = 0.0
    scene.plan = replace(PLAN, canary=replace(PLAN.canary, deadline=600))
    outcome = refused(run(scene))
    assert "only 0 of 200 requests in 600 s" in outcome.reason
    assert scene.percent == 0


def test_no_traffic_passes_where_the_plan_says_so(scene: Scene) -> None:
    scene.metrics.rate = 0.0
    scene.plan = replace(PLAN, canary=replace(PLAN.canary, no_data=NoData.PASS))
    assert isinstance(run(scene), Analysis)


@pytest.mark.parametrize("asked", [1, 2, 3])
def test_the_alias_is_read_again_before_every_raise_and_before_the_end(
    scene: Scene, asked: int
) -> None:
    def wanted() -> Stopped | None:
        return MOVED if scene.wanted() is None and scene.wanted.asked == asked else None

    outcome = canary(
        scene.proven,
        plan=scene.plan,
        sequence=2,
        target=scene.target,
        metrics=scene.metrics,
        clock=scene.clock,
        journal=scene.journal,
        freezes=scene.freezes,
        still_wanted=wanted,
    )
    assert outcome is MOVED
    assert scene.target.shifts == [10, 50][: asked - 1]


def test_while_mlflow_cannot_be_read_the_percent_stays(scene: Scene) -> None:
    at(scene.clock, 30, lambda: setattr(scene.wanted, "now", Unknown("connection refused")))
    seen: list[int] = []
    at(scene.clock, 500, lambda: seen.append(scene.percent))
    at(scene.clock, 510, lambda: setattr(scene.wanted, "now", None))
    assert isinstance(run(scene), Analysis)
    assert seen == [10]
    assert "mlflow" in scene.journal.waits
    assert "connection refused" in [look["detail"] for look in scene.journal.notes("look")]


def test_while_mlflow_cannot_be_read_no_first_percent_is_given(scene: Scene) -> None:
    scene.wanted.now = Unknown("connection refused")
    at(scene.clock, 500, lambda: setattr(scene.journal, "decision", ABORT))
    assert isinstance(run(scene), Stopped)
    assert scene.target.shifts == []


def test_a_bad_canary_is_found_while_mlflow_cannot_be_read(scene: Scene) -> None:
    at(scene.clock, 30, lambda: setattr(scene.wanted, "now", Unknown("connection refused")))
    bad = Behaviour(failing=0.4)
    at(scene.clock, 300, lambda: scene.metrics.behaviour.update({scene.new: bad}))
    assert "requests failed" in refused(run(scene)).reason
    assert scene.target.shifts == [10, 0]


def test_mlflow_away_until_the_deadline_goes_back(scene: Scene) -> None:
    scene.plan = replace(PLAN, canary=replace(PLAN.canary, deadline=600))
    at(scene.clock, 30, lambda: setattr(scene.wanted, "now", Unknown("connection refused")))
    outcome = refused(run(scene))
    assert "MLflow could not be asked for fraud-scorer@champion" in outcome.reason
    assert "(connection refused)" in outcome.reason
    assert scene.percent == 0


def test_while_metrics_are_away_the_percent_stays_and_people_are_told_once(scene: Scene) -> None:
    at(scene.clock, 30, lambda: setattr(scene.metrics, "away", True))
    told: list[int] = []
    at(scene.clock, 3600, lambda: told.append(len(scene.journal.notes("attention"))))
    at(scene.clock, 9000, lambda: setattr(scene.metrics, "away", False))
    assert isinstance(run(scene), Analysis)
    assert told == [0]
    (attention,) = scene.journal.notes("attention")
    assert attention["reason"].startswith("fraud's canary stays at 10 % because its requests")
    assert "metrics" in scene.journal.waits
    assert scene.target.shifts == [10, 50]
    assert scene.clock.elapsed == pytest.approx(9060, abs=15)


def test_counters_that_were_never_there_are_told_of_within_minutes(scene: Scene) -> None:
    scene.metrics.away = True
    told: list[int] = []
    at(scene.clock, 110, lambda: told.append(len(scene.journal.notes("attention"))))
    at(scene.clock, 130, lambda: told.append(len(scene.journal.notes("attention"))))
    at(scene.clock, 600, lambda: setattr(scene.metrics, "away", False))
    assert isinstance(run(scene), Analysis)
    assert told == [0, 1]
    (attention,) = scene.journal.notes("attention")
    assert attention["reason"].startswith("fraud's canary stays at 0 % because its requests")


def test_metrics_away_until_the_deadline_go_back(scene: Scene) -> None:
    scene.plan = replace(PLAN, canary=replace(PLAN.canary, deadline=600))
    at(scene.clock, 30, lambda: setattr(scene.metrics, "away", True))
    outcome = refused(run(scene))
    assert "(could not read request counters (fraud): start the proxy)" in outcome.reason
    assert "mend the metrics source" in outcome.reason
    assert scene.percent == 0


@pytest.mark.parametrize("every", [15, 30])
@pytest.mark.parametrize(("failing", "passes"), [(0.0, True), (0.05, False), (0.4, False)])
def test_counters_that_move_rarely_and_never_together_judge_alike(
    scene: Scene,
    every: float,
    failing: float,
    passes: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    scene.metrics.behaviour[scene.stable] = Behaviour(failing=0.01)
    scene.metrics.behaviour[scene.new] = Behaviour(failing=0.01 + failing)
    scene.metrics.scraped(every, scene.clock)
    outcome = run(scene)
    assert isinstance(outcome, Analysis) == passes
    if not passes:
        assert "requests failed" in refused(outcome).reason


def test_what_went_wrong_while_metrics_were_away_counts_when_they_return(scene: Scene) -> None:
    scene.metrics.behaviour[scene.new] = Behaviour(failing=0.4)
    at(scene.clock, 1, lambda: setattr(scene.metrics, "away", True))
    at(scene.clock, 100, lambda: setattr(scene.metrics, "away", False))
    assert "of its 1000 requests failed" in refused(run(scene)).reason


def test_metrics_that_will_never_answer_are_a_fault(scene: Scene) -> None:
    def forbidden(*_: object) -> None:
        raise ForbiddenError("read request counters", SERVICE, "renew the token")

    scene.metrics.read = forbidden  # type: ignore[assignment, method-assign]  # the fake can't
    with pytest.raises(ForbiddenError):
        run(scene)


def test_a_decision_is_seen_within_a_second_however_rare_the_looks(scene: Scene) -> None:
    scene.plan = replace(PLAN, canary=replace(PLAN.canary, look_every=60))
    at(scene.clock, 20, lambda: setattr(scene.journal, "decision", ABORT))
    assert run(scene) == Stopped(ABORT)
    assert scene.clock.elapsed == 20
    assert max(scene.clock.slept) <= 1


def test_a_decision_made_before_the_start_moves_no_traffic(scene: Scene) -> None:
    scene.journal.decision = ABORT
    assert run(scene) == Stopped(ABORT)
    assert scene.target.shifts == []
    assert scene.wanted.asked == 0


def test_short_looks_are_not_stretched(scene: Scene) -> None:
    scene.plan = replace(PLAN, canary=replace(PLAN.canary, look_every=0.25, interval=3))
    run(scene)
    assert set(scene.clock.slept) == {0.25}


def test_an_older_promotion_may_not_raise(scene: Scene) -> None:
    with pytest.raises(StaleSequenceError):
        run(scene, sequence=1)


def kill(scene: Scene) -> None:
    raise KilledError(scene)


@pytest.mark.parametrize("seconds", [1, 31, 62, 66, 100])
def test_a_killed_worker_continues_the_same_test_at_the_same_step(
    scene: Scene, seconds: float
) -> None:
    for revision in (scene.stable, scene.new):
        scene.metrics.behaviour[revision] = Behaviour(failing=0.05)
    at(scene.clock, seconds, lambda: kill(scene))
    with pytest.raises(KilledError):
        run(scene)
    before = scene.journal.notes("look")[-1]
    outcome = run(scene)
    assert isinstance(outcome, Analysis)
    after = scene.journal.notes("look")[scene.journal.notes("look").index(before) + 1]
    assert after["started_at"] == before["started_at"]
    assert scene.clock.elapsed == pytest.approx(125, abs=10)
    evidence = outcome.steps[-1]["metrics"]["errors"]
    total = evidence["stable"]["requests"] + evidence["canary"]["requests"]
    assert total == pytest.approx(100 * scene.clock.elapsed, abs=501)


@pytest.mark.parametrize("seconds", [5.0, 6.0, 9.0])
def test_a_worker_killed_before_it_could_judge_still_calls_the_canary_bad(
    scene: Scene, seconds: float
) -> None:
    scene.metrics.behaviour[scene.new] = Behaviour(failing=0.15)
    at(scene.clock, seconds, lambda: kill(scene))
    with pytest.raises(KilledError):
        run(scene)
    assert "requests failed" in refused(run(scene)).reason
    assert scene.clock.elapsed < 60


def test_a_restarted_worker_gives_the_percent_again_where_the_target_lost_it(scene: Scene) -> None:
    at(scene.clock, 20, lambda: kill(scene))
    with pytest.raises(KilledError):
        run(scene)
    scene.target.shift(SERVICE, scene.new, 0, 2)
    assert isinstance(run(scene), Analysis)
    assert scene.target.shifts == [10, 0, 10, 50]


def test_no_step_passes_on_what_was_answered_before_its_percent_was_given(scene: Scene) -> None:
    shift, away = scene.target.shift, [True]

    def unreachable(service: str, revision: str, percent: int, sequence: int) -> None:
        if percent == 50 and away:
            raise UnavailableError("change the service", SERVICE, "its API is away")
        shift(service, revision, percent, sequence)

    scene.target.shift = unreachable  # type: ignore[method-assign]  # a hook, in this scene alone
    for _ in range(3):
        with pytest.raises(UnavailableError):
            run(scene)
        scene.clock.sleep(1000)  # at 10 %, with traffic: longer and more than a step needs
    away.clear()
    back = scene.clock.now()
    assert isinstance(run(scene), Analysis)
    assert scene.target.shifts == [10, 50]
    assert (scene.clock.now() - back).total_seconds() >= PLAN.canary.interval


def test_a_percent_that_was_noted_but_not_given_is_not_given_in_a_freeze(scene: Scene) -> None:
    shift = scene.target.shift
    scene.target.shift = lambda *_: kill(scene)  # type: ignore[method-assign]  # a hook, in this scene alone
    with pytest.raises(KilledError):
        run(scene)
    scene.target.shift = shift  # type: ignore[method-assign]  # as it was
    assert [note["percent"] for note in scene.journal.notes("look")] == [10]
    scene.freezes.window = Frozen(scene.clock.now() + timedelta(minutes=5), "quiet")
    seen: list[list[int]] = []
    at(scene.clock, 290, lambda: seen.append(list(scene.target.shifts)))
    assert isinstance(run(scene), Analysis)
    assert seen == [[]]
    assert scene.target.shifts == [10, 50]


def test_a_target_out_of_reach_while_taking_traffic_away_is_tried_again(scene: Scene) -> None:
    scene.metrics.behaviour[scene.new] = Behaviour(failing=0.4)
    shift = scene.target.shift

    def unreachable(service: str, revision: str, percent: int, sequence: int) -> None:
        if percent == 0:
            raise UnavailableError("shift traffic", service, "start the proxy")
        shift(service, revision, percent, sequence)

    scene.target.shift = unreachable  # type: ignore[method-assign]  # a proxy that is down
    with pytest.raises(UnavailableError):
        run(scene)
    scene.target.shift = shift  # type: ignore[method-assign]  # and up again
    assert "requests failed" in refused(run(scene)).reason
    assert scene.percent == 0


def test_traffic_goes_back_even_where_the_ledger_cannot_take_the_reason(scene: Scene) -> None:
    scene.metrics.behaviour[scene.new] = Behaviour(failing=0.4)
    note = scene.journal.note

    def full(kind: str, data: dict[str, Any]) -> None:
        if data["verdict"] == "fail":
            raise UnavailableError("write the event", "the ledger", "free some disk space")
        note(kind, data)

    scene.journal.note = full  # type: ignore[method-assign]  # a disk that is full
    with pytest.raises(UnavailableError):
        run(scene)
    assert scene.percent == 0


def test_a_canary_without_requests_waits_without_filling_the_ledger(scene: Scene) -> None:
    scene.metrics.rate = 0
    scene.plan = replace(PLAN, canary=replace(PLAN.canary, deadline=7200.0))
    assert "answered only 0" in refused(run(scene)).reason
    told = [(note["verdict"], note["state"]["given"]) for note in scene.journal.notes("look")]
    raised, first_look = [("hold", False), ("hold", True)], ("hold", True)
    assert told == [*raised, first_look, ("fail", True)]


def test_what_befell_the_canary_is_told_before_the_counts_and_after_the_traffic_went(
    scene: Scene,
) -> None:
    scene.metrics.behaviour[scene.new] = Behaviour(failing=0.4)
    scene.target.troubles = "its container ended with exit code 3"
    outcome = refused(run(scene))
    assert scene.target.shifts == [10, 0]
    told = (
        "fraud's canary fraud-00002 went back from 10 %: its container ended with exit code 3; 20"
    )
    assert outcome.reason.startswith(told)
    assert scene.journal.notes("look")[-1]["detail"].startswith("its container ended")


def test_a_canary_of_which_nothing_can_be_asked_goes_back_all_the_same(scene: Scene) -> None:
    scene.metrics.behaviour[scene.new] = Behaviour(failing=0.4)
    scene.target.troubles = UnavailableError("ask", "fraud", "nobody answers")
    outcome = refused(run(scene))
    assert outcome.reason.startswith("fraud's canary fraud-00002 went back from 10 %: 20 of its 50")
