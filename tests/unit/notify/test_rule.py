"""Which events are told at all, and to whom."""

from dataclasses import replace

import pytest

from pipeline.domain.notice import Topic
from pipeline.domain.promotion import ControlKind, Phase
from pipeline.domain.serving import Hold
from pipeline.keeping import attention
from pipeline.notify.rule import KINDS, Rule, topics_of
from tests.fakes.metrics import Behaviour
from tests.unit.notify.telling import last
from tests.unit.promotion_scene import SERVICE, Scene, refuse


def topics(one: Scene, kind: str = "ended") -> tuple[Topic, ...]:
    return topics_of(last(one, kind), one.ledger)


def fail_in_traffic(one: Scene) -> None:
    """Promote what serves well, then what fails under traffic."""
    one.promote(1)
    one.metrics.behaviour["fraud-00002"] = Behaviour(failing=0.5)
    assert one.promote(2).phase is Phase.FAILED


def test_a_canary_that_went_back_is_a_rollback_as_well_as_a_failure(one: Scene) -> None:
    fail_in_traffic(one)
    assert topics(one) == (Topic.FAILED, Topic.ROLLED_BACK)


def test_what_failed_before_it_got_traffic_rolled_nothing_back(one: Scene) -> None:
    one.promote(1)
    refuse(one)
    one.promote(2)
    assert topics(one) == (Topic.FAILED,)


def test_a_first_promotion_that_fails_has_nothing_to_go_back_to(one: Scene) -> None:
    refuse(one)
    one.promote(1)
    assert topics(one) == (Topic.FAILED,)


def test_a_promotion_that_ended_well_is_no_rollback(one: Scene) -> None:
    one.promote(1)
    one.promote(2)
    assert topics(one) == (Topic.SUCCEEDED,)


def test_a_rollback_by_hand_is_one_when_it_ended_well(one: Scene) -> None:
    one.promote(1)
    one.promote(2)
    one.roll_back_to(one.promotions[0].image)
    assert topics(one) == (Topic.SUCCEEDED, Topic.ROLLED_BACK)
    assert one.roll_back_to(None).phase is not Phase.SUCCEEDED
    assert Topic.ROLLED_BACK not in topics(one)


def test_an_abort_in_traffic_gives_it_back(one: Scene) -> None:
    one.promote(1)
    accepted = one.accept(2)
    shift = one.target.shift

    def shifted(service: str, revision: str, percent: int, sequence: int) -> None:
        shift(service, revision, percent, sequence)
        if percent == 10:
            one.decide(ControlKind.ABORT)

    one.target.shift = shifted  # type: ignore[method-assign]  # a hook, in this scene alone
    assert one.run(accepted).phase is Phase.ABORTED
    assert topics(one) == (Topic.ABORTED, Topic.ROLLED_BACK)


def test_holds_are_told_and_their_end(one: Scene) -> None:
    one.ledger.holds.set(SERVICE, Hold("ada", "an audit", one.clock.now()))
    assert topics(one, "held") == (Topic.HELD,)
    one.ledger.holds.release(SERVICE, actor="ada", at=one.clock.now())
    assert topics(one, "released") == (Topic.RELEASED,)


def test_drift_is_told_apart_from_what_else_needs_attention(one: Scene) -> None:
    one.promote(1)
    attention(one.ledger, SERVICE, "another image", one.clock.now())
    assert topics(one, "attention") == (Topic.DRIFT,)
    away = {"since": "now", "reason": "its requests cannot be counted"}
    one.ledger.events.append(one.promotions[0].id, one.clock.now(), "attention", away)
    assert topics(one, "attention") == (Topic.ATTENTION,)


def test_a_promotion_that_waits_for_people_says_so(one: Scene) -> None:
    promotion = one.accept(1)
    for waits_for, wanted in (("freeze", ()), ("approval", (Topic.APPROVAL,))):
        note = {"for": waits_for, "image": "sha256:0", "since": "now", "reason": "it waits"}
        one.ledger.events.append(promotion.id, one.clock.now(), "waiting", note)
        assert topics(one, "waiting") == wanted


def test_who_got_a_link_to_approve_by_is_told_to_nobody(one: Scene) -> None:
    promotion = one.accept(1)
    invited = {"actor": "ada", "by": "ada", "image": "sha256:0", "until": "tomorrow"}
    one.ledger.events.append(promotion.id, one.clock.now(), "invited", invited)
    assert topics(one, "invited") == ()
    assert "invited" not in KINDS


def test_what_happens_every_minute_is_told_to_nobody(one: Scene) -> None:
    one.promote(1)
    for kind in ("accepted", "step_started", "step_ended"):
        assert topics(one, kind) == ()


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (Rule({Topic.FAILED}), True),
        (Rule({Topic.ROLLED_BACK}), True),
        (Rule({Topic.SUCCEEDED, Topic.HELD}), False),
        (Rule({Topic.FAILED}, [SERVICE]), True),
        (Rule({Topic.FAILED}, ["another"]), False),
    ],
)
def test_a_channel_is_told_what_it_asked_for_of_the_services_it_asked_for(
    one: Scene, rule: Rule, *, wanted: bool
) -> None:
    fail_in_traffic(one)
    entry = last(one, "ended")
    assert rule.wants(entry, topics_of(entry, one.ledger)) is wanted


def test_an_end_without_a_promotion_of_this_ledger_rolled_nothing_back(one: Scene) -> None:
    fail_in_traffic(one)
    lost = replace(last(one, "ended"), promotion=None)
    assert topics_of(lost, one.ledger) == (Topic.FAILED,)
