"""A revision at 0 %: ready, refused, stopped, or no longer wanted."""

from dataclasses import replace

import pytest

from pipeline.domain.evidence import AdmittedImage, CanaryRevision, Refused, Stopped, Unknown
from pipeline.domain.pods import PodPlan
from pipeline.domain.serving import Readiness
from pipeline.steps.deploy import GRACE, READY_WITHIN, deploy
from tests.fakes.serving_target import FakeServingTarget
from tests.unit.steps.serving_scene import ABORT, MOVED, PLAN, SERVICE, Scene, verified

STARTING = (Readiness.STARTING, "")


@pytest.fixture
def scene() -> Scene:
    return Scene()


def run(scene: Scene, version: int = 2) -> CanaryRevision | Refused | Stopped:
    return deploy(
        AdmittedImage(verified(version)),
        plan=scene.plan,
        sequence=3,
        target=scene.target,
        clock=scene.clock,
        journal=scene.journal,
        still_wanted=scene.wanted,
    )


def test_a_new_image_runs_at_no_percent_beside_stable(scene: Scene) -> None:
    scene.target.answers = [STARTING, STARTING]
    outcome = run(scene, 3)
    assert outcome == CanaryRevision(SERVICE, "fraud-00003", verified(3).ref, scene.stable)
    assert scene.percent == 0
    assert scene.clock.slept == [1.0, 1.0]  # as the target waits, and not a moment longer


def test_the_first_revision_of_a_service_has_no_stable_beside_it(scene: Scene) -> None:
    scene.target = FakeServingTarget(clock=scene.clock)
    assert run(scene) == CanaryRevision(SERVICE, "fraud-00001", verified(2).ref, None)


def test_deploying_again_finds_the_revision_that_runs(scene: Scene) -> None:
    assert run(scene) == run(scene) == scene.revision


def test_an_image_that_is_already_stable_is_compared_with_nothing(scene: Scene) -> None:
    assert run(scene, 1) == CanaryRevision(SERVICE, scene.stable, verified(1).ref, None)


def test_a_revision_that_fails_is_refused_with_its_last_words(scene: Scene) -> None:
    scene.target.answers = [STARTING, (Readiness.FAILED, "ModuleNotFoundError: sklearn")]
    outcome = run(scene)
    assert isinstance(outcome, Refused)
    assert "fraud-00002 could not start: ModuleNotFoundError: sklearn; mend" in outcome.reason
    assert outcome.evidence["readiness"] == "failed"


def test_a_revision_that_never_becomes_ready_is_refused(scene: Scene) -> None:
    scene.target.answers = [STARTING] * 10_000
    outcome = run(scene)
    assert isinstance(outcome, Refused)
    assert "was not ready within 600 s: it said nothing" in outcome.reason
    assert scene.clock.elapsed == READY_WITHIN + GRACE


def test_a_service_says_itself_how_long_its_revisions_may_take(scene: Scene) -> None:
    scene.plan = replace(PLAN, pods=PodPlan(progress_deadline=20))
    scene.target.answers = [STARTING] * 10_000
    outcome = run(scene)
    assert isinstance(outcome, Refused)
    assert "was not ready within 20 s" in outcome.reason
    assert scene.clock.elapsed == 20 + GRACE


def test_the_targets_own_verdict_at_its_deadline_is_the_one_that_is_told(scene: Scene) -> None:
    late = (Readiness.FAILED, "ProgressDeadlineExceeded: back-off restarting failed container")
    scene.target.answers = [*[STARTING] * (READY_WITHIN + 5), late]
    outcome = run(scene)
    assert isinstance(outcome, Refused)
    assert "could not start: ProgressDeadlineExceeded: back-off restarting" in outcome.reason


@pytest.mark.parametrize("at_once", [False, True])
def test_the_target_is_told_what_takes_everything_without_steps(
    scene: Scene, *, at_once: bool
) -> None:
    deploy(
        AdmittedImage(verified(2)),
        plan=scene.plan,
        sequence=3,
        target=scene.target,
        clock=scene.clock,
        journal=scene.journal,
        still_wanted=scene.wanted,
        at_once=at_once,
    )
    assert scene.target.at_once == at_once


def test_a_decision_ends_the_wait_for_readiness(scene: Scene) -> None:
    scene.journal.decision = ABORT
    assert run(scene) == Stopped(ABORT)


def test_what_is_no_longer_wanted_goes_no_further(scene: Scene) -> None:
    scene.wanted.now = MOVED
    assert run(scene) is MOVED


def test_while_mlflow_cannot_be_read_it_waits(scene: Scene) -> None:
    scene.wanted.now = Unknown("connection refused")
    scene.clock.passing.append(
        lambda _: setattr(scene.wanted, "now", None) if scene.clock.elapsed >= 30 else None
    )
    assert run(scene) == scene.revision
    assert scene.clock.elapsed == 30
    assert scene.journal.waits[-2:] == ["mlflow", None]


def test_a_decision_ends_the_wait_for_mlflow(scene: Scene) -> None:
    scene.wanted.now = Unknown("connection refused")
    scene.clock.passing.append(lambda _: setattr(scene.journal, "decision", ABORT))
    assert run(scene) == Stopped(ABORT)
    assert scene.clock.elapsed == 1


def test_mlflow_away_for_a_steps_whole_time_is_refused(scene: Scene) -> None:
    scene.wanted.now = Unknown("connection refused")
    scene.plan = replace(PLAN, canary=replace(PLAN.canary, deadline=600))
    outcome = run(scene)
    assert isinstance(outcome, Refused)
    assert "could not be asked for fraud-scorer@champion in 600 s" in outcome.reason
