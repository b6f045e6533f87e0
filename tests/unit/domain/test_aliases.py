"""What an alias asks for, by the rules of interfaces §8."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.domain.aliases import (
    FROM_ALIAS_PATIENCE,
    NOTHING,
    Promote,
    Reading,
    Refuse,
    Remember,
    Settle,
    Wait,
    Withdraw,
    decide,
    ends,
)
from pipeline.domain.delivery import AliasAction, AliasDelivery, Outcome
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Kind, Phase, Promotion, Trigger, TriggerKind
from pipeline.domain.references import ModelVersion
from pipeline.domain.serving import Hold

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
POLL = timedelta(seconds=30)
HELD_AT_3 = Hold("ada", "rollback", NOW, 3)


def attempt(version: int, phase: Phase, alias: str | None = "champion") -> Promotion:
    """Make a promotion of five minutes ago that has read which version it is about."""
    return Promotion(
        id="p",
        sequence=1,
        service="fraud",
        kind=Kind.PROMOTION,
        phase=phase,
        plan=Plan("fraud", "scorer"),
        model=ModelVersion("scorer", version),
        trigger=Trigger(TriggerKind.RECONCILER, "mlflow", NOW),
        created_at=NOW - timedelta(minutes=5),
        alias=alias,
        source="models:/m-1",
    )


def delivery(
    version: int | None, age: timedelta = timedelta(0), alias: str = "champion"
) -> AliasDelivery:
    action = AliasAction.DELETED if version is None else AliasAction.CREATED
    return AliasDelivery("d", action, "scorer", alias, version, "", NOW - age, ("fraud",))


SEEN = Reading(
    now=NOW,
    poll=POLL,
    version=3,
    attempted=None,
    newest=None,
    hold=None,
    deliveries=(),
    challenged=True,
    gone_since=None,
    first_seen=NOW,
)


def asked(reading: Reading) -> object:
    return decide(reading, "champion", "challenger")


def test_a_version_that_was_never_attempted_is_promoted() -> None:
    assert asked(SEEN) == Promote(3)
    assert asked(replace(SEEN, attempted=attempt(2, Phase.SUCCEEDED))) == Promote(3)


@pytest.mark.parametrize(
    "phase",
    [Phase.SUCCEEDED, Phase.FAILED, Phase.ERRORED, Phase.ABORTED],
)
def test_an_answer_that_is_already_there_is_not_sought_again(phase: Phase) -> None:
    reading = replace(SEEN, attempted=attempt(3, phase))
    assert asked(reading) == Settle(Outcome.NOTHING_NEW)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.RUNNING])
def test_a_delivery_about_a_running_promotion_is_coalesced_into_it(phase: Phase) -> None:
    reading = replace(SEEN, attempted=attempt(3, phase), deliveries=(delivery(3),))
    assert asked(reading) == Settle(Outcome.COALESCED)


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.ERRORED, Phase.ABORTED])
def test_setting_the_same_version_again_asks_for_a_new_attempt(phase: Phase) -> None:
    reading = replace(SEEN, attempted=attempt(3, phase), deliveries=(delivery(3),))
    assert asked(reading) == Promote(3)


@pytest.mark.parametrize(
    "told",
    [
        delivery(2),
        delivery(None),
        delivery(3, timedelta(hours=1)),
        delivery(3, alias="challenger"),
    ],
    ids=["another version", "a deletion", "older than the attempt", "another alias"],
)
def test_other_deliveries_ask_for_no_new_attempt(told: AliasDelivery) -> None:
    reading = replace(SEEN, attempted=attempt(3, Phase.FAILED), deliveries=(told,))
    assert asked(reading) == Settle(Outcome.NOTHING_NEW)


def test_setting_a_serving_version_again_changes_nothing() -> None:
    reading = replace(SEEN, attempted=attempt(3, Phase.SUCCEEDED), deliveries=(delivery(3),))
    assert asked(reading) == Settle(Outcome.NOTHING_NEW)


def test_a_version_that_was_rolled_back_is_promoted_when_it_is_set_again_and_not_by_polling() -> (
    None
):
    undone = replace(
        attempt(2, Phase.SUCCEEDED),
        id="r",
        kind=Kind.ROLLBACK,
        created_at=NOW - timedelta(minutes=2),
    )
    reading = replace(SEEN, attempted=attempt(3, Phase.SUCCEEDED), newest=undone)
    assert asked(reading) == Settle(Outcome.NOTHING_NEW)
    before = delivery(3, timedelta(minutes=3))
    assert asked(replace(reading, deliveries=(before,))) == Settle(Outcome.NOTHING_NEW)
    assert asked(replace(reading, deliveries=(delivery(3),))) == Promote(3)


def test_an_alias_that_was_elsewhere_for_a_moment_is_promoted_after_all() -> None:
    superseded = attempt(3, Phase.SUPERSEDED)
    assert asked(replace(SEEN, attempted=superseded, newest=superseded)) == Promote(3)
    rollback = replace(superseded, id="r", kind=Kind.ROLLBACK)
    reading = replace(SEEN, attempted=superseded, newest=rollback)
    assert asked(reading) == Settle(Outcome.NOTHING_NEW)


@pytest.mark.parametrize("alias", [None, "challenger"])
def test_what_a_person_asked_for_has_its_say_first_and_is_then_superseded(
    alias: str | None,
) -> None:
    by_hand = attempt(2, Phase.RUNNING, alias)
    unread = replace(SEEN, attempted=replace(by_hand, source=None))
    assert asked(unread) == Settle(Outcome.COALESCED)
    assert asked(replace(SEEN, attempted=by_hand)) == Promote(3)


def test_a_hold_stands_while_the_alias_names_the_version_it_was_set_on() -> None:
    reading = replace(SEEN, hold=HELD_AT_3, attempted=attempt(2, Phase.SUCCEEDED))
    assert asked(reading) == Settle(Outcome.HELD)
    assert asked(replace(reading, deliveries=(delivery(3),))) == Settle(Outcome.HELD)


def test_reading_another_version_ends_a_hold() -> None:
    reading = replace(SEEN, version=4, hold=HELD_AT_3, attempted=attempt(3, Phase.SUCCEEDED))
    assert asked(reading) == Promote(4)


def test_only_another_version_than_when_it_was_set_ends_a_hold() -> None:
    assert ends(HELD_AT_3, 4)
    assert not ends(HELD_AT_3, 3)
    assert not ends(HELD_AT_3, None)
    assert not ends(replace(HELD_AT_3, alias_version=None), 3)
    assert not ends(None, 3)


def test_a_hold_learns_which_version_the_alias_named_when_it_was_set() -> None:
    unknown = replace(HELD_AT_3, alias_version=None)
    assert asked(replace(SEEN, hold=unknown)) == Remember(HELD_AT_3)


def test_a_hold_that_was_set_while_the_alias_named_nothing_ends_with_any_version() -> None:
    unread = replace(HELD_AT_3, alias_version=None)
    gone = replace(SEEN, version=None, hold=unread, gone_since=NOW)
    assert asked(gone) == Settle(Outcome.NOTHING_NEW)
    on_nothing = replace(unread, alias_version=NOTHING)
    assert asked(replace(gone, now=NOW + POLL)) == Remember(on_nothing)
    known = replace(gone, now=NOW + POLL, hold=on_nothing)
    assert asked(known) == Settle(Outcome.NOTHING_NEW)
    assert ends(on_nothing, 3)


def test_a_missing_challenger_is_waited_for_and_then_refused_with_what_to_do() -> None:
    reading = replace(SEEN, challenged=False)
    assert asked(reading) == Wait()
    late = asked(replace(reading, now=NOW + FROM_ALIAS_PATIENCE))
    assert isinstance(late, Refuse)
    assert "put @challenger on version 3, then @champion again" in late.reason


def test_a_gone_alias_is_believed_after_one_poll() -> None:
    reading = replace(SEEN, version=None, attempted=attempt(3, Phase.RUNNING))
    assert asked(reading) == Wait()
    assert asked(replace(reading, gone_since=NOW)) == Wait()


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.RUNNING])
def test_a_gone_alias_ends_the_promotion_it_asked_for(phase: Phase) -> None:
    running = attempt(3, phase)
    gone = replace(SEEN, version=None, gone_since=NOW - POLL, attempted=running)
    assert asked(gone) == Withdraw(running, "@champion was removed from scorer")


@pytest.mark.parametrize(
    "attempted", [None, attempt(3, Phase.SUCCEEDED), attempt(3, Phase.RUNNING, alias=None)]
)
def test_a_gone_alias_leaves_alone_what_serves_and_what_a_person_asked_for(
    attempted: Promotion | None,
) -> None:
    gone = replace(SEEN, version=None, gone_since=NOW - POLL, attempted=attempted)
    assert asked(gone) == Settle(Outcome.NOTHING_NEW)
