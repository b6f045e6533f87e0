"""What is observed is written down; holds and drift are told once, and orphans put back."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.domain.promotion import Phase
from pipeline.domain.references import Digest, ImageRef
from pipeline.domain.serving import Hold, ServiceState
from pipeline.errors import ForbiddenError, LaurelError, UnavailableError
from pipeline.keeping import Keeper
from tests.unit.promotion_scene import PLAN, SERVICE, Scene, scene
from tests.unit.steps.serving_scene import verified

THEIRS = ImageRef("ml/fraud", Digest.of(b"theirs"))
DRIFT = "somebody set the image to another one: promote it, or put it back"


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Scene]:
    """Version 1 serves; nobody has looked yet."""
    with scene(tmp_path) as made:
        made.promote(1)
        yield made


def keeper(of: Scene) -> Keeper:
    return Keeper(of.ledger, of.target, of.clock, [SERVICE])


def hold(of: Scene, reason: str = "complaints") -> Hold:
    return Hold("ada", reason, of.clock.now(), 2)


def attentions(of: Scene) -> list[str]:
    events = [
        event
        for promotion in of.promotions
        for event in of.ledger.events.of(promotion.id, kind="attention")
    ]
    return [event.data["reason"] for event in events]


@pytest.fixture
def lost(one: Scene, tmp_path: Path) -> Iterator[Scene]:
    """Know nothing any more, while everything serves on."""
    (tmp_path / "new").mkdir()
    with scene(tmp_path / "new", images=one.images, target=one.target, clock=one.clock) as made:
        yield made


def test_the_ledgers_hold_is_written_on_the_service_and_taken_off_with_it(one: Scene) -> None:
    held = hold(one)
    one.ledger.holds.set(SERVICE, held)
    keeper(one).look(SERVICE)
    assert one.target.observe(SERVICE).hold == held
    one.ledger.holds.release(SERVICE, actor="ada", at=one.clock.now())
    keeper(one).look(SERVICE)
    assert one.target.observe(SERVICE).hold is None


def test_a_hold_that_learns_the_aliass_version_is_written_anew(one: Scene) -> None:
    one.ledger.holds.set(SERVICE, replace(hold(one), alias_version=None))
    keeper(one).look(SERVICE)
    one.ledger.holds.remember(SERVICE, hold(one))
    keeper(one).look(SERVICE)
    written = one.target.observe(SERVICE).hold
    assert written is not None
    assert written.alias_version == 2


def test_a_hold_that_stands_there_already_is_not_written_again(
    one: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.ledger.holds.set(SERVICE, hold(one))
    keeper(one).look(SERVICE)

    def written(*_: object) -> None:
        raise AssertionError("written twice")

    monkeypatch.setattr(one.target, "hold", written)
    keeper(one).look(SERVICE)


def test_nothing_is_written_on_what_laurel_did_not_make(one: Scene) -> None:
    one.target.foreign = "docker.io/someone/else"
    one.ledger.holds.set(SERVICE, hold(one))
    keeper(one).look(SERVICE)
    assert one.target.observe(SERVICE).hold is None


def test_a_lost_ledger_takes_the_hold_over_that_stands_on_the_service(
    one: Scene, lost: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    held = hold(one)
    one.target.hold(SERVICE, held)
    with caplog.at_level(logging.WARNING):
        keeper(lost).look(SERVICE)
        keeper(lost).look(SERVICE)
    assert lost.ledger.holds.get(SERVICE) == held
    assert caplog.text.count("is held by ada (complaints), as its target says: taken over") == 1


def test_a_hold_that_was_taken_over_and_released_does_not_come_back(
    one: Scene, lost: Scene
) -> None:
    one.target.hold(SERVICE, hold(one))
    keeper(lost).look(SERVICE)
    lost.ledger.holds.release(SERVICE, actor="ada", at=lost.clock.now())
    keeper(lost).look(SERVICE)
    keeper(lost).look(SERVICE)
    assert lost.ledger.holds.get(SERVICE) is None
    assert one.target.observe(SERVICE).hold is None


def test_a_ledger_from_a_backup_takes_over_the_hold_that_is_later_than_its_own(
    one: Scene, lost: Scene
) -> None:
    lost.promote(1)
    keeper(lost).look(SERVICE)
    older = hold(lost, "audit")
    lost.ledger.holds.set(SERVICE, older)
    one.clock.sleep(60)
    one.promote(2)
    one.promote(1)
    later = hold(one)
    one.target.hold(SERVICE, later)
    keeper(lost).look(SERVICE)
    assert lost.ledger.holds.get(SERVICE) == later


def test_a_ledger_from_a_backup_keeps_a_hold_that_is_later_than_the_services(
    one: Scene, lost: Scene
) -> None:
    one.target.hold(SERVICE, hold(one))
    one.clock.sleep(60)
    later = hold(lost, "audit")
    lost.ledger.holds.set(SERVICE, later)
    keeper(lost).look(SERVICE)
    assert lost.ledger.holds.get(SERVICE) == one.target.observe(SERVICE).hold == later


def test_a_promotion_of_ones_own_is_no_first_sight(one: Scene) -> None:
    keeper(one).look(SERVICE)
    one.promote(2)
    one.target.hold(SERVICE, hold(one))
    keeper(one).look(SERVICE)
    assert one.ledger.holds.get(SERVICE) is None


def test_an_edit_by_hand_is_told_once_however_often_it_is_looked_at(
    one: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    one.target.edit(SERVICE, THEIRS, DRIFT)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            keeper(one).look(SERVICE)
    assert attentions(one) == [DRIFT]
    assert caplog.text.count(DRIFT) == 1
    observed = one.ledger.states.get(SERVICE)
    assert observed is not None
    assert observed[0].drift == DRIFT


def test_another_edit_is_told_again(one: Scene) -> None:
    one.target.edit(SERVICE, THEIRS, DRIFT)
    keeper(one).look(SERVICE)
    one.target.edit(SERVICE, None, "somebody set the percent to 10")
    keeper(one).look(SERVICE)
    assert attentions(one) == [DRIFT, "somebody set the percent to 10"]


def test_an_edit_of_what_no_promotion_is_known_of_is_told_in_the_log(
    one: Scene, lost: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    one.target.edit(SERVICE, THEIRS, DRIFT)
    with caplog.at_level(logging.WARNING):
        keeper(lost).look(SERVICE)
    assert DRIFT in caplog.text
    assert attentions(lost) == []


def test_traffic_that_a_person_gave_by_hand_is_not_put_back_unasked(one: Scene) -> None:
    new = one.target.deploy(PLAN, verified(2), 2)
    one.target.shift(SERVICE, new, 10, 2)
    one.target.edit(SERVICE, None, "somebody set the percent to 10")
    keeper(one).look(SERVICE)
    assert one.serves == (1, 10)


AWAY = UnavailableError("observe", SERVICE, "its API server does not answer")
FORBIDDEN = ForbiddenError("observe", SERVICE, "grant get on inferenceservices")


@pytest.mark.parametrize(("fault", "unseen"), [(AWAY, {SERVICE}), (FORBIDDEN, set())])
def test_a_service_is_unseen_until_its_target_has_answered_or_says_that_it_never_will(
    lost: Scene, monkeypatch: pytest.MonkeyPatch, fault: LaurelError, unseen: set[str]
) -> None:
    observe = lost.target.observe

    def faulty(_service: str) -> ServiceState:
        raise fault

    looking = keeper(lost)
    assert looking.unseen() == {SERVICE}
    monkeypatch.setattr(lost.target, "observe", faulty)
    looking.look(SERVICE)
    assert looking.unseen() == unseen
    monkeypatch.setattr(lost.target, "observe", observe)
    looking.look(SERVICE)
    assert looking.unseen() == set()


def test_what_was_seen_once_is_known_to_every_later_start(lost: Scene) -> None:
    keeper(lost).look(SERVICE)
    assert keeper(lost).unseen() == set()


def test_a_target_that_cannot_be_observed_is_told_once_for_each_reason(
    one: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    faults = [AWAY, AWAY, FORBIDDEN, FORBIDDEN]

    def faulty(_service: str) -> ServiceState:
        raise faults.pop(0)

    monkeypatch.setattr(one.target, "observe", faulty)
    looking = keeper(one)
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            looking.look(SERVICE)
    assert caplog.text.count("cannot tell what fraud serves") == 2


def test_services_are_looked_at_even_where_the_target_cannot_be_kept(
    lost: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty() -> None:
        raise AWAY

    monkeypatch.setattr(lost.target, "keep", faulty)
    with pytest.raises(UnavailableError):
        keeper(lost).keep()
    assert lost.ledger.states.get(SERVICE) is not None


def test_the_next_sequence_is_above_what_a_lost_ledger_finds_on_the_service(
    one: Scene, lost: Scene
) -> None:
    one.promote(2)
    keeper(lost).look(SERVICE)
    assert lost.promote(3).phase is Phase.SUCCEEDED
    assert lost.promotions[0].sequence == 3
