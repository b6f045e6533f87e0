"""The ledger keeps what it accepted, whoever else writes, and whatever happens to the disk."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from pipeline.domain.delivery import AliasAction, AliasDelivery, Outcome
from pipeline.domain.plan import CanaryPlan, EnvVar, Plan
from pipeline.domain.promotion import (
    Control,
    ControlKind,
    Kind,
    Phase,
    Promotion,
    Trigger,
    TriggerKind,
    Waiting,
)
from pipeline.domain.references import Alias, Digest, ImageRef, ModelVersion
from pipeline.domain.serving import Hold, Readiness, Revision, ServiceState
from pipeline.errors import ConfigurationError, NotFoundError, UnavailableError
from pipeline.ledger import Ledger, new_id, schema, stamp

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
IMAGE = ImageRef("ml/fraud", Digest("sha256:" + "a" * 64))


def draft(version: int = 1, service: str = "fraud", kind: Kind = Kind.PROMOTION) -> Promotion:
    return Promotion(
        id=new_id(),
        sequence=0,
        service=service,
        kind=kind,
        phase=Phase.PENDING,
        plan=Plan(service, "fraud-scorer", env=(EnvVar("REGION", "eu"),), canary=CanaryPlan((5,))),
        model=ModelVersion("fraud-scorer", version),
        trigger=Trigger(TriggerKind.WEBHOOK, "mlflow", NOW, "d-1"),
        created_at=NOW,
        alias="champion",
    )


def delivery(name: str, version: int | None = 1) -> AliasDelivery:
    action = AliasAction.DELETED if version is None else AliasAction.CREATED
    return AliasDelivery(name, action, "fraud-scorer", "champion", version, "", NOW, ("fraud",))


def test_a_promotion_comes_back_as_it_was_accepted(ledger: Ledger) -> None:
    accepted = ledger.promotions.accept(replace(draft(), target=IMAGE))
    assert accepted.sequence == 1
    assert ledger.promotions.get(accepted.id) == accepted


def test_the_same_id_again_returns_the_first_record(ledger: Ledger) -> None:
    first = ledger.promotions.accept(draft())
    again = ledger.promotions.accept(replace(draft(2), id=first.id))
    assert again == first
    assert len(ledger.promotions.of_service("fraud")) == 1


def test_a_sequence_is_never_reused_and_starts_above_what_the_target_saw(ledger: Ledger) -> None:
    ledger.states.observed(ServiceState("fraud", "", sequence=41), NOW)
    first = ledger.promotions.accept(draft())
    second = ledger.promotions.accept(draft(2))
    other = ledger.promotions.accept(draft(service="churn"))
    assert (first.sequence, second.sequence, other.sequence) == (42, 43, 1)


def test_sequences_stay_unique_when_many_write_at_once(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: ledger.promotions.accept(draft(n + 1)), range(40)))
    assert sorted(p.sequence for p in made) == list(range(1, 41))


def test_the_newest_promotion_supersedes_every_open_one_of_its_service(ledger: Ledger) -> None:
    first = ledger.promotions.accept(draft())
    ended = ledger.promotions.accept(draft(2))
    ledger.promotions.change(ended.id, phase=Phase.FAILED, ended_at=NOW)
    other = ledger.promotions.accept(draft(service="churn"))
    ledger.promotions.accept(draft(3))
    control = ledger.controls.first(first.id)
    assert control is not None
    assert control.kind is ControlKind.SUPERSEDE
    assert ledger.controls.first(other.id) is None
    later = ledger.controls.first(ended.id)
    assert later is None


def test_a_delivery_keeps_its_first_answer(ledger: Ledger) -> None:
    ledger.deliveries.record([delivery("a"), delivery("b"), delivery("c")])
    accepted = ledger.promotions.accept(draft())
    ledger.deliveries.settle(["a", "b"], Outcome.PROMOTED, accepted.id)
    assert [d.id for d in ledger.deliveries.unsettled()] == ["c"]
    ledger.deliveries.settle(["a", "c"], Outcome.COALESCED, accepted.id)
    settled = ledger.deliveries.get("a")
    assert settled is not None
    assert (settled.outcome, settled.promotion) == (Outcome.PROMOTED, accepted.id)
    assert ledger.deliveries.outcomes() == {"promoted": 2, "coalesced": 1}


def test_a_repeated_delivery_changes_nothing(ledger: Ledger) -> None:
    ledger.deliveries.record([delivery("a", 1)])
    stands = ledger.deliveries.record([delivery("a", 2), delivery("b", None)])
    assert {d.id: d.version for d in stands.values()} == {"a": 1, "b": None}
    kept = ledger.deliveries.get("a")
    assert kept is not None
    assert kept.version == 1
    assert ledger.deliveries.get("nobody") is None
    assert [d.version for d in ledger.deliveries.unsettled()] == [1, None]


def test_refused_deliveries_are_only_counted(ledger: Ledger) -> None:
    ledger.deliveries.count_refused("signature")
    ledger.deliveries.count_refused("signature")
    ledger.deliveries.count_refused("age", 3)
    assert ledger.deliveries.refused() == {"signature": 2, "age": 3}


def test_an_ended_promotion_never_changes(ledger: Ledger) -> None:
    made = ledger.promotions.accept(draft())
    waiting = Waiting("traffic", NOW)
    ledger.promotions.change(
        made.id, phase=Phase.RUNNING, waiting=waiting, started_at=NOW, image=IMAGE
    )
    running = ledger.promotions.get(made.id)
    assert running is not None
    assert (running.waiting, running.image, running.started_at) == (waiting, IMAGE, NOW)
    ended = ledger.promotions.change(made.id, phase=Phase.SUCCEEDED, waiting=None, ended_at=NOW)
    assert ended.waiting is None
    assert ledger.promotions.change(made.id, phase=Phase.FAILED) == ended
    assert ledger.promotions.open() == []
    assert ledger.promotions.phases() == {"succeeded": 1}
    with pytest.raises(NotFoundError, match="nobody"):
        ledger.promotions.change("nobody", phase=Phase.FAILED)


def test_mlflow_is_told_of_an_ended_promotion_once(ledger: Ledger) -> None:
    made = ledger.promotions.accept(draft())
    assert ledger.promotions.untold() == []
    ledger.promotions.change(made.id, phase=Phase.FAILED, ended_at=NOW)
    assert [p.id for p in ledger.promotions.untold()] == [made.id]
    ledger.promotions.told(made.id, NOW)
    assert ledger.promotions.untold() == []


def test_pages_run_from_the_newest_to_the_oldest_and_filter(ledger: Ledger) -> None:
    made = [ledger.promotions.accept(draft(n + 1)) for n in range(5)]
    first = ledger.promotions.page(limit=2)
    second = ledger.promotions.page(limit=2, cursor=first.next)
    third = ledger.promotions.page(limit=2, cursor=second.next)
    ids = [p.id for page in (first, second, third) for p in page.items]
    assert ids == sorted((p.id for p in made), reverse=True)
    assert third.next is None
    ledger.promotions.change(made[0].id, phase=Phase.FAILED)
    failed = ledger.promotions.page(services=["fraud"], phase=Phase.FAILED)
    assert [p.id for p in failed.items] == [made[0].id]
    assert ledger.promotions.page(services=["nobody"]).items == ()
    rollback = ledger.promotions.accept(draft(9, kind=Kind.ROLLBACK))
    assert ledger.promotions.latest("fraud", kind=Kind.ROLLBACK) == rollback
    assert ledger.promotions.of_service("fraud", kind=Kind.ROLLBACK) == [rollback]
    assert ledger.promotions.latest("nobody") is None


def test_events_are_told_in_order_and_from_where_one_stopped_reading(ledger: Ledger) -> None:
    made = ledger.promotions.accept(draft())
    for n in range(3):
        ledger.events.append(made.id, NOW, "look" if n else "step", {"n": n})
    accepted, *events = ledger.events.of(made.id)
    assert accepted.kind == "accepted"
    assert [e.data["n"] for e in events] == [0, 1, 2]
    assert [e.data["n"] for e in ledger.events.of(made.id, kind="look", after=events[1].id)] == [2]


def test_the_first_control_decides(ledger: Ledger) -> None:
    made = ledger.promotions.accept(draft())
    abort = Control(ControlKind.ABORT, "ada", "looks wrong", NOW)
    ledger.controls.add(made.id, abort)
    ledger.promotions.accept(draft(2))
    assert ledger.controls.first(made.id) == abort


def test_a_hold_stays_until_it_is_released(ledger: Ledger) -> None:
    assert ledger.holds.get("fraud") is None
    ledger.holds.set("fraud", Hold("ada", "rollback", NOW, 3))
    ledger.holds.set("fraud", Hold("bob", "investigating", NOW, None))
    assert ledger.holds.get("fraud") == Hold("bob", "investigating", NOW, None)
    ledger.holds.release("fraud", actor="ada", at=NOW)
    ledger.holds.release("fraud", actor="ada", at=NOW)
    assert ledger.holds.get("fraud") is None


def test_the_last_observed_state_of_a_service_is_kept(ledger: Ledger) -> None:
    assert ledger.states.get("fraud") is None
    stable = Revision("fraud-00001", IMAGE, 100, Readiness.READY, 1)
    state = ServiceState("fraud", "http://127.0.0.1:8081", 1, stable)
    ledger.states.observed(ServiceState("fraud", ""), NOW)
    ledger.states.observed(state, NOW)
    assert ledger.states.get("fraud") == (state, NOW)


def test_an_alias_is_remembered_on_every_version_it_was_seen_on(ledger: Ledger) -> None:
    challenger = Alias("fraud-scorer", "challenger")
    ledger.sightings.saw(challenger, 2, NOW)
    ledger.sightings.saw(challenger, 2, NOW)
    assert ledger.sightings.ever(challenger, 2)
    assert not ledger.sightings.ever(challenger, 3)
    assert not ledger.sightings.ever(replace(challenger, workspace="team-b"), 2)


def test_the_migrations_make_exactly_the_schema_that_the_code_uses(ledger: Ledger) -> None:
    with ledger.database.read() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, schema.metadata) == []
    assert ledger.current()
    ledger.migrate()


def test_a_ledger_without_its_schema_says_so(tmp_path: Path) -> None:
    empty = Ledger(f"sqlite:///{tmp_path}/new/laurel.db")
    assert not empty.current()
    empty.close()


def test_nobody_else_may_read_the_ledger(tmp_path: Path) -> None:
    made = Ledger(f"sqlite:///{tmp_path}/laurel.db")
    made.migrate()
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.glob("laurel.db*")}
    assert modes["laurel.db"] == 0o600
    assert set(modes.values()) == {0o600}
    made.close()


def test_a_ledger_that_cannot_be_written_is_unavailable(ledger: Ledger) -> None:
    with ledger.database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1")
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
        connection.commit()
        big = sa.insert(schema.refused_deliveries).values(reason="x" * 10_000_000, count=1)
        with pytest.raises(sa.exc.OperationalError, match="full"):
            connection.execute(big)
    ledger.database.engine.dispose()
    with ledger.database.write() as blocker:
        blocker.exec_driver_sql("PRAGMA busy_timeout=1")
        fast = Ledger(str(ledger.database.engine.url))
        with fast.database.engine.connect() as other:
            other.exec_driver_sql("PRAGMA busy_timeout=1")
        with pytest.raises(UnavailableError, match="nothing was recorded"):
            fast.deliveries.count_refused("age")
        fast.close()


def test_only_sqlite_files_are_ledgers_for_now() -> None:
    with pytest.raises(ConfigurationError, match="sqlite:///FILE"):
        Ledger("sqlite://")
    with pytest.raises(ConfigurationError, match="no database URL"):
        Ledger("not a URL")


def test_ids_and_stamps_sort_by_time() -> None:
    ids = [new_id() for _ in range(3)]
    assert all(i[14] == "7" for i in ids)
    assert stamp(NOW) < stamp(NOW + timedelta(microseconds=1))


def test_a_ledger_with_no_connection_left_is_unavailable(ledger: Ledger) -> None:
    with pytest.raises(UnavailableError, match="QueuePool limit"), ledger.database.read():
        raise sa.exc.TimeoutError("QueuePool limit of size 5 reached")
