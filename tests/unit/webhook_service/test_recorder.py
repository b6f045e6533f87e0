"""The one writer: groups, repeats, what happens when the ledger is away, and the end."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from pipeline.domain.delivery import AliasAction, AliasDelivery
from pipeline.errors import UnavailableError
from pipeline.ledger import Ledger
from tests.fakes.asgi import Client
from tests.fakes.mlflow_webhook import alias_event, deliver
from tests.unit.webhook_service.conftest import World
from webhook_service.recorder import Recorder

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)


def delivery(name: str, version: int = 1) -> AliasDelivery:
    return AliasDelivery(
        name, AliasAction.CREATED, "fraud-scorer", "champion", version, "", NOW, ("fraud",)
    )


@pytest.fixture
def groups(ledger: Ledger) -> Iterator[list[int]]:
    """Count the deliveries of each transaction."""
    sizes: list[int] = []

    def count(
        _connection: object, _cursor: object, statement: str, parameters: object, *_: object
    ) -> None:
        if statement.startswith("INSERT INTO deliveries"):
            sizes.append(len(parameters) if isinstance(parameters, list) else 1)

    sa.event.listen(ledger.database.engine, "before_cursor_execute", count)
    yield sizes
    sa.event.remove(ledger.database.engine, "before_cursor_execute", count)


def run(ledger: Ledger, work: Callable[[Recorder], Awaitable[object]]) -> int:
    """Run a recorder around some work; tell how often it woke somebody."""
    woken: list[None] = []

    async def main() -> None:
        async with Recorder(ledger, lambda: woken.append(None)) as recorder:
            await work(recorder)

    asyncio.run(main())
    return len(woken)


@contextmanager
def full_disk(ledger: Ledger) -> Iterator[None]:
    """Let SQLite say that the disk is full; SQLITE_FULL is what ENOSPC becomes."""
    engine = ledger.database.engine

    def fill(connection: sa.Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")

    sa.event.listen(engine, "begin", fill)
    try:
        yield
    finally:
        sa.event.remove(engine, "begin", fill)
        engine.dispose()


def test_deliveries_that_wait_together_are_committed_together(
    ledger: Ledger, groups: list[int]
) -> None:
    async def many(recorder: Recorder) -> None:
        await asyncio.gather(*(recorder.record(delivery(f"d{n}")) for n in range(600)))

    assert run(ledger, many) == 3
    assert groups == [256, 256, 88]
    assert len(ledger.deliveries.unsettled()) == 600


def test_a_repeat_in_the_same_group_finds_the_first(ledger: Ledger) -> None:
    async def twice(recorder: Recorder) -> None:
        first, again = await asyncio.gather(
            recorder.record(delivery("d", 1)), recorder.record(delivery("d", 2))
        )
        assert first == again == delivery("d", 1)

    run(ledger, twice)


def test_one_row_that_cannot_be_stored_does_not_fail_the_others(ledger: Ledger) -> None:
    async def mixed(recorder: Recorder) -> Sequence[object]:
        bad = delivery("bad", 1 << 80)  # SQLite's integers end at 63 bits
        outcomes = await asyncio.gather(
            *(recorder.record(each) for each in (delivery("a"), bad, delivery("b"))),
            return_exceptions=True,
        )
        assert outcomes[0] == delivery("a")
        assert isinstance(outcomes[1], OverflowError)
        assert outcomes[2] == delivery("b")
        return outcomes

    assert run(ledger, mixed) == 2
    assert {d.id for d in ledger.deliveries.unsettled()} == {"a", "b"}


def test_a_caller_who_has_left_stops_nobody(ledger: Ledger) -> None:
    async def leave(recorder: Recorder) -> None:
        left = asyncio.create_task(recorder.record(delivery("left")))
        stays = asyncio.create_task(recorder.record(delivery("stays")))
        await asyncio.sleep(0)
        left.cancel()
        assert await stays == delivery("stays")

    run(ledger, leave)
    assert len(ledger.deliveries.unsettled()) == 2


def test_a_full_disk_is_unavailable_and_wakes_nobody(ledger: Ledger) -> None:
    async def try_it(recorder: Recorder) -> None:
        big = AliasDelivery(
            "d", AliasAction.CREATED, "m" * 100_000, "champion", 1, "", NOW, ("fraud",)
        )
        with pytest.raises(UnavailableError, match="nothing was recorded"):
            await recorder.record(big)

    with full_disk(ledger):
        assert run(ledger, try_it) == 0
    assert ledger.deliveries.unsettled() == []


def test_who_left_before_a_failure_is_not_told(ledger: Ledger) -> None:
    async def leave(recorder: Recorder) -> None:
        left = asyncio.create_task(recorder.record(delivery("left", 1 << 80)))
        await asyncio.sleep(0)
        left.cancel()
        assert await recorder.record(delivery("stays")) == delivery("stays")

    run(ledger, leave)


def test_what_waits_at_the_end_is_written_and_nothing_more_is_taken_on(
    ledger: Ledger, groups: list[int]
) -> None:
    recorder = Recorder(ledger, lambda: None)

    async def main() -> None:
        async with recorder:
            waiting = [asyncio.create_task(recorder.record(delivery(f"d{n}"))) for n in range(300)]
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        with pytest.raises(UnavailableError, match="stopping"):
            await recorder.record(delivery("late"))

    asyncio.run(main())
    assert groups == [256, 44]


def test_too_many_waiting_are_told_at_once(ledger: Ledger) -> None:
    async def flood(recorder: Recorder) -> None:
        tasks = [recorder.record(delivery(f"d{n}")) for n in range(4100)]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        refused = [each for each in outcomes if isinstance(each, UnavailableError)]
        assert len(refused) == 4
        assert len(ledger.deliveries.unsettled()) == 4096

    run(ledger, flood)


def test_counts_of_refused_deliveries_are_written_together(ledger: Ledger) -> None:
    writes: list[str] = []

    def count(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if "refused" in statement:
            writes.append(statement)

    async def attack(recorder: Recorder) -> None:
        for _ in range(1000):
            recorder.count_refused("signature")
            await asyncio.sleep(0)

    sa.event.listen(ledger.database.engine, "before_cursor_execute", count)
    run(ledger, attack)
    assert ledger.deliveries.refused() == {"signature": 1000}
    assert len(writes) <= 20


def test_counts_that_cannot_be_written_now_are_written_later(ledger: Ledger) -> None:
    async def attack(recorder: Recorder) -> None:
        recorder.count_refused("x" * 100_000)
        with full_disk(ledger):
            await recorder._flush_counts()

    run(ledger, attack)
    assert list(ledger.deliveries.refused().values()) == [1]


def test_a_ledger_that_cannot_be_written_gets_503_and_the_time_to_try_again(
    client: Client, ledger: Ledger
) -> None:
    call = deliver(alias_event(workspace="w" * 500), delivery="d-1")
    sa.event.listen(ledger.database.engine, "connect", _impatient)
    ledger.database.engine.dispose()
    with ledger.database.write():  # somebody else's long transaction
        answer = client.send(call)
    assert answer.status == 503
    assert answer.headers["retry-after"] == "30"
    assert answer.headers["content-type"] == "application/problem+json"
    assert client.send(call).status == 202


def test_a_receiver_that_stops_gets_503(client: Client, ledger: Ledger, world: World) -> None:
    client.stop()
    assert client.send(deliver(alias_event())).status == 503
    assert ledger.deliveries.unsettled() == []
    assert world.woken == 0


def _impatient(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA busy_timeout=1")
