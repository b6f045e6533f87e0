"""The reconciler finds every move that no webhook told, and seeks no answer twice."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.domain.delivery import AliasAction, AliasDelivery, Outcome
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import ControlKind, Kind, Phase, Promotion, TriggerKind
from pipeline.domain.references import Digest, ImageRef
from pipeline.domain.serving import Hold, Readiness, Revision, ServiceState
from pipeline.ledger import Ledger
from pipeline.reconciler import Reconciler
from tests.fakes.clock import FakeClock
from tests.fakes.model_registry import FakeModelRegistry
from tests.unit.ledgers import open_ledger

POLL = 30.0
IMAGE = ImageRef("scorer", Digest.of(b"an image"))


@dataclass
class Scene:
    ledger: Ledger
    registry: FakeModelRegistry
    clock: FakeClock
    reconciler: Reconciler
    told: int = 0

    def tick(self, seconds: float = 0.0) -> None:
        self.clock.sleep(seconds)
        self.reconciler.tick()

    def tell(self, version: int | None, *services: str, alias: str = "champion") -> str:
        """Record a delivery as the receiver does."""
        self.told += 1
        action = AliasAction.DELETED if version is None else AliasAction.CREATED
        name, now = f"d-{self.told}", self.clock.now()
        delivery = AliasDelivery(
            name, action, "scorer", alias, version, "", now, services or ("fraud",)
        )
        self.ledger.deliveries.record([delivery])
        return name

    def outcome(self, delivery: str) -> Outcome | None:
        found = self.ledger.deliveries.get(delivery)
        assert found is not None
        return found.outcome

    def promotions(self, service: str = "fraud") -> list[Promotion]:
        return list(reversed(self.ledger.promotions.of_service(service)))

    def end(self, phase: Phase) -> None:
        newest = self.promotions()[-1]
        self.ledger.promotions.change(newest.id, phase=phase, ended_at=self.clock.now())


def scene(folder: Path, *plans: Plan) -> Scene:
    ledger = open_ledger(folder)
    registry, clock = FakeModelRegistry(), FakeClock()
    services = {plan.service: plan for plan in plans}
    reconciler = Reconciler(ledger, registry, services, clock, timedelta(seconds=POLL))
    return Scene(ledger, registry, clock, reconciler)


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Scene]:
    made = scene(tmp_path, Plan("fraud", "scorer"))
    yield made
    made.ledger.close()


def test_a_move_that_no_webhook_told_is_promoted_at_the_next_poll(one: Scene) -> None:
    one.tick()
    assert one.promotions() == []
    one.registry.point("scorer", "champion", 1)
    one.tick(POLL)
    (promotion,) = one.promotions()
    assert promotion.model.version == 1
    assert promotion.trigger.kind is TriggerKind.RECONCILER
    assert promotion.kind is Kind.PROMOTION


def test_between_two_polls_a_delivery_wakes_it_and_gets_the_credit(one: Scene) -> None:
    one.tick()
    one.registry.point("scorer", "champion", 2)
    one.tick(1.0)
    assert one.promotions() == []
    delivery = one.tell(2)
    one.tick(1.0)
    (promotion,) = one.promotions()
    assert (promotion.trigger.kind, promotion.trigger.delivery_id) == (
        TriggerKind.WEBHOOK,
        delivery,
    )
    assert one.outcome(delivery) is Outcome.PROMOTED


def test_a_service_that_nobody_has_seen_yet_is_left_alone_until_somebody_has(one: Scene) -> None:
    one.registry.point("scorer", "champion", 1)
    delivery = one.tell(1)
    one.reconciler.tick(frozenset({"fraud"}))
    assert (one.promotions(), one.outcome(delivery)) == ([], None)
    one.tick()
    assert len(one.promotions()) == 1
    assert one.outcome(delivery) is Outcome.PROMOTED


def test_what_the_alias_names_now_counts_and_not_what_a_delivery_says(one: Scene) -> None:
    one.registry.point("scorer", "champion", 3)
    late = one.tell(2)
    one.tick()
    assert [p.model.version for p in one.promotions()] == [3]
    assert one.outcome(late) is Outcome.COALESCED


def test_a_delivery_that_finds_nothing_new_is_coalesced_into_the_running_promotion(
    one: Scene,
) -> None:
    one.registry.point("scorer", "champion", 3)
    one.tick()
    again = one.tell(3)
    one.tick(1.0)
    assert len(one.promotions()) == 1
    assert one.outcome(again) is Outcome.COALESCED


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.ERRORED, Phase.ABORTED])
def test_an_answer_is_not_sought_again_by_polling_but_by_a_new_delivery(
    one: Scene, phase: Phase
) -> None:
    one.registry.point("scorer", "champion", 3)
    one.tick()
    one.end(phase)
    for _ in range(3):
        one.tick(POLL)
    assert len(one.promotions()) == 1
    one.tell(3)
    one.tick(1.0)
    assert len(one.promotions()) == 2


def test_ten_moves_in_a_burst_end_in_the_registrys_truth(one: Scene) -> None:
    deliveries = []
    for version in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10):
        one.registry.point("scorer", "champion", version)
        deliveries.append(one.tell(version))
        if version in {4, 10}:
            one.tick()
    assert [p.model.version for p in one.promotions()] == [4, 10]
    control = one.ledger.controls.first(one.promotions()[0].id)
    assert control is not None
    assert control.kind is ControlKind.SUPERSEDE
    assert {one.outcome(delivery) for delivery in deliveries} == {
        Outcome.PROMOTED,
        Outcome.COALESCED,
    }


def test_while_mlflow_is_away_nothing_is_settled_and_nothing_is_lost(one: Scene) -> None:
    one.registry.point("scorer", "champion", 1)
    one.registry.away = True
    delivery = one.tell(1)
    one.tick()
    assert one.outcome(delivery) is None
    one.registry.away = False
    one.tick(1.0)
    assert one.outcome(delivery) is Outcome.PROMOTED


def test_a_hold_is_never_undone_and_ends_with_another_version(one: Scene) -> None:
    one.registry.point("scorer", "champion", 3)
    one.tick()
    one.end(Phase.SUCCEEDED)
    one.ledger.holds.set("fraud", Hold("ada", "rollback", one.clock.now(), None))
    one.tick(POLL)
    hold = one.ledger.holds.get("fraud")
    assert hold is not None
    assert hold.alias_version == 3
    held = one.tell(3)
    one.tick(1.0)
    assert one.outcome(held) is Outcome.HELD
    assert len(one.promotions()) == 1
    one.registry.point("scorer", "champion", 4)
    one.tick(POLL)
    assert [p.model.version for p in one.promotions()] == [3, 4]
    assert one.ledger.holds.get("fraud") is None


def test_an_alias_that_is_gone_for_one_poll_ends_its_running_promotion(one: Scene) -> None:
    one.registry.point("scorer", "champion", 3)
    one.tick()
    running = one.promotions()[0]
    one.registry.point("scorer", "champion", None)
    gone = one.tell(None)
    one.tick(1.0)
    assert one.ledger.controls.first(running.id) is None
    for _ in range(31):
        one.tick(1.0)
    control = one.ledger.controls.first(running.id)
    assert control is not None
    assert (control.kind, control.reason) == (
        ControlKind.ABORT,
        "@champion was removed from scorer",
    )
    assert one.outcome(gone) is Outcome.NOTHING_NEW
    one.tick(POLL)
    assert one.ledger.controls.first(running.id) == control


def test_an_alias_that_is_gone_leaves_what_serves_and_warns_once(
    one: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    one.registry.point("scorer", "champion", 3)
    one.tick()
    one.end(Phase.SUCCEEDED)
    stable = Revision("fraud-00001", IMAGE, 100, Readiness.READY)
    state = ServiceState("fraud", "http://fraud.test", stable=stable)
    one.ledger.states.observed(state, one.clock.now())
    one.registry.point("scorer", "champion", None)
    for _ in range(4):
        one.tick(POLL)
    assert len(one.promotions()) == 1
    assert caplog.messages == ["@champion of scorer is gone; fraud goes on serving what it serves"]


def test_an_alias_that_comes_back_within_a_poll_ends_nothing(one: Scene) -> None:
    one.registry.point("scorer", "champion", 3)
    one.tick()
    one.registry.point("scorer", "champion", None)
    one.tick(POLL)
    one.registry.point("scorer", "champion", 3)
    one.tick(1.0)
    one.registry.point("scorer", "champion", None)
    one.tick(POLL)
    assert one.ledger.controls.first(one.promotions()[0].id) is None


def test_a_version_must_have_been_challenger_before_it_is_champion(tmp_path: Path) -> None:
    guarded = scene(tmp_path, Plan("fraud", "scorer", from_alias="challenger"))
    guarded.registry.point("scorer", "champion", 3)
    delivery = guarded.tell(3)
    guarded.tick()
    assert guarded.outcome(delivery) is None
    guarded.tick(31)
    (refused,) = guarded.promotions()
    assert refused.phase is Phase.FAILED
    assert "put @challenger on version 3" in refused.reason
    guarded.tick(POLL)
    assert len(guarded.promotions()) == 1
    guarded.ledger.close()


@pytest.mark.parametrize("how", ["now", "an earlier poll", "a delivery"])
def test_a_challenger_counts_wherever_it_was_seen(tmp_path: Path, how: str) -> None:
    guarded = scene(tmp_path, Plan("fraud", "scorer", from_alias="challenger"))
    if how == "a delivery":
        guarded.tell(3, alias="challenger")
    else:
        guarded.registry.point("scorer", "challenger", 3)
        guarded.tick()
        if how == "an earlier poll":
            guarded.registry.point("scorer", "challenger", None)
    guarded.registry.point("scorer", "champion", 3)
    guarded.tick(POLL)
    assert [p.phase for p in guarded.promotions()] == [Phase.PENDING]
    guarded.ledger.close()


def test_every_service_that_watches_a_model_gets_its_own_promotion(tmp_path: Path) -> None:
    both = scene(tmp_path, Plan("fraud", "scorer"), Plan("fraud-eu", "scorer"))
    both.registry.point("scorer", "champion", 1)
    delivery = both.tell(1, "fraud", "fraud-eu", "removed-from-the-settings")
    both.tick()
    assert len(both.promotions("fraud")) == len(both.promotions("fraud-eu")) == 1
    assert both.outcome(delivery) is Outcome.PROMOTED
    both.ledger.close()


def test_a_delivery_for_services_that_are_no_longer_watched_is_settled(one: Scene) -> None:
    delivery = one.tell(1, "gone")
    one.tick()
    assert one.outcome(delivery) is Outcome.NOTHING_NEW


def test_many_services_are_compared_by_one_reading_of_the_whole_map(tmp_path: Path) -> None:
    plans = [Plan(f"s{n}", f"m{n}", workspace="team-a" if n % 2 else "") for n in range(60)]
    plans.append(replace(plans[0], service="guarded", from_alias="challenger"))
    many = scene(tmp_path, *plans)
    many.registry.point("m0", "challenger", 7)
    many.registry.point("m0", "champion", 7)
    many.tick()
    assert many.registry.reads == 2
    assert [len(many.promotions(s)) for s in ("s0", "s2", "guarded")] == [1, 0, 1]
    many.registry.away = True
    many.tick(POLL)
    assert len(many.promotions("s0")) == 1
    many.ledger.close()


@pytest.mark.parametrize("alias", [None, "champion"])
def test_what_a_person_asked_for_is_not_overtaken_before_it_has_read_the_alias(
    one: Scene, alias: str | None
) -> None:
    one.registry.point("scorer", "champion", 1)
    one.tick()
    one.end(Phase.SUCCEEDED)
    first = one.promotions()[0]
    version = 2 if alias is None else 0
    asked = replace(first, id="by-hand", model=replace(first.model, version=version), alias=alias)
    one.ledger.promotions.accept(replace(asked, phase=Phase.PENDING, ended_at=None))
    one.registry.point("scorer", "champion", 3)
    one.tick(POLL)
    assert len(one.promotions()) == 2
    one.end(Phase.FAILED)
    one.tick(POLL)
    assert one.promotions()[-1].model.version == 3


def test_a_hold_ends_where_the_alias_comes_to_the_version_that_was_promoted_by_hand(
    one: Scene,
) -> None:
    one.registry.point("scorer", "champion", 6)
    one.tick()
    one.end(Phase.SUCCEEDED)
    first = one.promotions()[0]
    by_hand = replace(first, id="by-hand", model=replace(first.model, version=5), alias=None)
    one.ledger.promotions.accept(by_hand)
    one.ledger.holds.set("fraud", Hold("ada", "by hand", one.clock.now(), 6))
    one.registry.point("scorer", "champion", 5)
    one.tick(POLL)
    assert one.ledger.holds.get("fraud") is None
    assert len(one.promotions()) == 2
    one.registry.point("scorer", "champion", 6)
    one.tick(POLL)
    assert [p.model.version for p in one.promotions()] == [6, 5, 6]


def test_a_hold_that_is_set_while_the_alias_is_read_stands(
    one: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = one.ledger.promotions.accept_if_still

    def too_late(draft: Promotion, newest: int) -> Promotion | None:
        one.ledger.holds.set("fraud", Hold("ada", "stop", one.clock.now()))
        return accept(draft, newest)

    monkeypatch.setattr(one.ledger.promotions, "accept_if_still", too_late)
    one.registry.point("scorer", "champion", 1)
    delivery = one.tell(1)
    one.tick()
    assert one.outcome(delivery) is None
    one.tick()
    assert one.outcome(delivery) is Outcome.HELD
    assert one.promotions() == []


def test_what_a_person_asks_for_while_the_alias_is_read_is_not_overtaken(
    one: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.registry.point("scorer", "champion", 1)
    one.tick()
    one.end(Phase.SUCCEEDED)
    first = one.promotions()[0]
    accept = one.ledger.promotions.accept_if_still

    def too_late(draft: Promotion, newest: int) -> Promotion | None:
        asked = replace(first, id="by-hand", phase=Phase.PENDING, alias=None, ended_at=None)
        one.ledger.promotions.accept(replace(asked, model=replace(first.model, version=9)))
        return accept(draft, newest)

    monkeypatch.setattr(one.ledger.promotions, "accept_if_still", too_late)
    one.registry.point("scorer", "champion", 2)
    one.tick(POLL)
    one.tick(1.0)
    assert [p.model.version for p in one.promotions()] == [1, 9]


def test_a_hold_that_is_released_while_the_alias_is_read_does_not_come_back(
    one: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember = one.ledger.holds.remember

    def too_late(service: str, hold: Hold) -> None:
        one.ledger.holds.release(service, actor="ada", at=one.clock.now())
        remember(service, hold)

    monkeypatch.setattr(one.ledger.holds, "remember", too_late)
    one.registry.point("scorer", "champion", 1)
    one.ledger.holds.set("fraud", Hold("ada", "stop", one.clock.now()))
    one.tick()
    assert one.ledger.holds.get("fraud") is None


def test_a_hold_reads_the_alias_at_once_so_that_the_next_move_ends_it(one: Scene) -> None:
    one.registry.point("scorer", "champion", 1)
    one.tick()
    one.end(Phase.SUCCEEDED)
    one.clock.sleep(1.0)
    one.ledger.holds.set("fraud", Hold("ada", "rollback", one.clock.now()))
    one.tick(1.0)
    one.registry.point("scorer", "champion", 2)
    one.tell(2)
    one.tick(1.0)
    assert [p.model.version for p in one.promotions()] == [1, 2]


def test_a_hold_on_an_alias_that_is_gone_does_not_read_it_more_often(one: Scene) -> None:
    one.ledger.holds.set("fraud", Hold("ada", "stop", one.clock.now()))
    for _ in range(5):
        one.tick(1.0)
    assert one.registry.reads == 1


def test_what_is_refused_is_never_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guarded = scene(tmp_path, Plan("fraud", "scorer", from_alias="challenger"))
    guarded.registry.point("scorer", "champion", 3)
    guarded.tick()
    killed = pytest.raises(KeyboardInterrupt)

    def die(*_arguments: object, **_changes: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(guarded.ledger.promotions, "change", die)
    monkeypatch.setattr(guarded.ledger.deliveries, "settle", die)
    guarded.tell(3)
    with killed:
        guarded.tick(31)
    assert [p.phase for p in guarded.promotions()] == [Phase.FAILED]
    guarded.ledger.close()


def test_a_challenger_gets_no_credit_and_asks_for_no_new_attempt(tmp_path: Path) -> None:
    guarded = scene(tmp_path, Plan("fraud", "scorer", from_alias="challenger"))
    guarded.registry.point("scorer", "challenger", 3)
    guarded.tell(3, alias="challenger")
    guarded.registry.point("scorer", "champion", 3)
    champion = guarded.tell(3)
    guarded.tick()
    assert guarded.promotions()[0].trigger.delivery_id == champion
    guarded.end(Phase.FAILED)
    guarded.clock.sleep(1.0)
    guarded.tell(3, alias="challenger")
    guarded.tick(1.0)
    assert len(guarded.promotions()) == 1
    guarded.ledger.close()


def test_a_version_that_returns_has_its_patience_anew(tmp_path: Path) -> None:
    guarded = scene(tmp_path, Plan("fraud", "scorer", from_alias="challenger"))
    for version in (3, 4, 3):
        guarded.registry.point("scorer", "champion", version)
        guarded.tick(POLL)
    assert guarded.promotions() == []
    guarded.ledger.close()


def test_a_clock_that_is_set_back_stops_no_polls(one: Scene) -> None:
    one.tick()
    one.clock.sleep(-3600.0)
    one.registry.point("scorer", "champion", 1)
    one.tick()
    assert len(one.promotions()) == 1
