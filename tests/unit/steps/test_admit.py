"""Before traffic: what is waited for, how it is told, and how it ends."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.domain.admission import (
    APPROVAL,
    CANARIES,
    FREEZE,
    LASTS,
    Admitted,
    Approval,
    Frozen,
    Limits,
    Rules,
    Wait,
)
from pipeline.domain.evidence import AdmittedImage, Refused, Stopped, Unknown
from pipeline.errors import UnavailableError
from pipeline.evidence_json import to_json
from pipeline.steps.admit import admit, pass_by
from tests.fakes.clock import START
from tests.unit.steps.serving_scene import ABORT, MOVED, PLAN, Scene, verified

NEEDED = Wait(APPROVAL, "it needs 1 more of 1 approvals of sha256:0")
FULL = Wait(CANARIES, "as many canaries run as may at once")
ADA = Approval("ada", verified(2).ref.digest, "", START)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def run(scene: Scene, rules: Rules | None = None) -> AdmittedImage | Refused | Stopped:
    return admit(
        verified(2),
        plan=PLAN,
        rules=rules or Rules(),
        place=True,
        freezes=scene.freezes,
        clock=scene.clock,
        journal=scene.journal,
        still_wanted=scene.wanted,
    )


def test_who_needs_nobody_is_let_in_at_once(scene: Scene) -> None:
    assert run(scene) == AdmittedImage(verified(2))
    assert scene.clock.elapsed == 0
    assert scene.journal.events == []
    assert scene.journal.asked == [(verified(2).ref.digest, Rules(), True, None)]


def test_what_is_waited_for_is_told_once_and_then_it_goes_on(scene: Scene) -> None:
    frozen = Wait(FREEZE, "a quiet weekend", START + timedelta(hours=1))
    scene.journal.answers = [NEEDED, NEEDED, frozen, FULL, Admitted((ADA,))]
    assert run(scene) == AdmittedImage(verified(2), (ADA,))
    told = [(note["for"], note["reason"]) for note in scene.journal.notes("waiting")]
    assert told == [
        ("approval", "fraud-scorer/2 waits: it needs 1 more of 1 approvals of sha256:0"),
        ("freeze", "fraud-scorer/2 waits: a quiet weekend"),
        ("canaries", "fraud-scorer/2 waits: as many canaries run as may at once"),
    ]
    assert scene.journal.waits == ["approval", "approval", "freeze", "canaries", None]


def test_a_restarted_worker_tells_nobody_again_and_waits_no_longer_for_it(scene: Scene) -> None:
    scene.journal.answers = [NEEDED, NEEDED, Admitted()]
    scene.journal.note(
        "waiting",
        {
            "for": "approval",
            "image": verified(2).ref.digest.value,
            "since": (START - LASTS).isoformat(),
            "reason": "told before",
        },
    )
    refused = run(scene)
    assert isinstance(refused, Refused)
    assert len(scene.journal.notes("waiting")) == 1


def test_who_is_not_approved_in_time_is_refused(scene: Scene) -> None:
    scene.journal.answers = [NEEDED]
    refused = run(scene, Rules(timedelta(hours=2)))
    assert isinstance(refused, Refused)
    assert refused.reason == (
        "fraud-scorer/2 was not approved within 2 h: it needs 1 more of 1 approvals of sha256:0; "
        "promote it again when somebody will"
    )
    assert scene.clock.elapsed == 7200


def test_a_freeze_and_a_full_house_are_waited_for_however_long(scene: Scene) -> None:
    scene.journal.answers = [*[FULL] * 10_000, Admitted()]
    assert run(scene, Rules(timedelta(seconds=5))) == AdmittedImage(verified(2))
    assert scene.clock.elapsed == 10_000


def test_a_decision_ends_the_wait_within_a_second(scene: Scene) -> None:
    scene.journal.answers = [FULL]
    scene.clock.passing.append(lambda _seconds: setattr(scene.journal, "decision", ABORT))
    assert run(scene) == Stopped(ABORT)
    assert scene.clock.elapsed == 1


def test_a_decision_that_was_faster_than_the_door_counts(scene: Scene) -> None:
    scene.journal.answers = [ABORT]
    assert run(scene) == Stopped(ABORT)


def test_the_alias_is_read_again_after_the_wait(scene: Scene) -> None:
    scene.wanted.now = MOVED
    assert run(scene) == MOVED
    assert scene.wanted.asked == 1


def test_while_nobody_can_say_what_the_alias_names_nothing_is_let_in(scene: Scene) -> None:
    scene.wanted.now = Unknown("connection refused")
    with pytest.raises(UnavailableError, match="connection refused"):
        run(scene)


def test_the_door_is_told_of_the_freeze_and_of_the_rules(scene: Scene) -> None:
    scene.freezes.window = Frozen(START + timedelta(days=1), "a quiet weekend")
    rules = Rules(LASTS, Limits(1))
    run(scene, rules)
    assert scene.journal.asked == [(verified(2).ref.digest, rules, True, scene.freezes.window)]


def test_a_rollback_passes_by() -> None:
    assert pass_by(verified(2)) == AdmittedImage(verified(2))


def test_who_was_let_in_is_never_restored_from_a_checkpoint() -> None:
    with pytest.raises(TypeError, match="AdmittedImage is no evidence that a checkpoint may hold"):
        to_json(replace(pass_by(verified(2))))
