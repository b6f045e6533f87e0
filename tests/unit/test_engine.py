"""The durable engine on its file: who may open it, and disks that are full.

What the worker relies on is in ``tests/contract/test_engine.py``.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

import pipeline.engine
from pipeline.engine import Engine
from pipeline.errors import ConfigurationError, UnavailableError
from tests.fakes.local_machine import eventually

pytestmark = pytest.mark.xdist_group("engine")  # DBOS is one per process


class Journal:
    """Notes what ran; promotions named ``wait…`` go on until :attr:`go`."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, int]] = []
        self.running = 0
        self.go = threading.Event()
        self.fails: set[str] = set()

    def carry_out(self, promotion: str, attempt: int) -> None:
        self.ran.append((promotion, attempt))
        self.running += 1
        try:
            if promotion.startswith("wait"):
                self.go.wait(20)
            if promotion in self.fails:
                raise ValueError(promotion)
        finally:
            self.running -= 1

    def names(self) -> list[str]:
        return [name for name, _ in self.ran]


@contextmanager
def started(folder: Path, carry_out: Callable[[str, int], None]) -> Iterator[Engine]:
    engine = Engine(folder / "engine.db", carry_out, poll=0.02)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def test_checkpoints_that_cannot_be_opened_are_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "engine.db").write_text("no database, and longer than a header of one " * 100)
    with (
        pytest.raises(UnavailableError, match="delete the file: it costs repeated steps"),
        started(tmp_path, Journal().carry_out),
    ):
        pass
    (tmp_path / "engine.db").unlink()
    with started(tmp_path, Journal().carry_out) as engine:
        assert engine.live() == set()


def test_nobody_else_may_read_the_checkpoints_or_hold_their_lock(tmp_path: Path) -> None:
    with started(tmp_path, Journal().carry_out):
        modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert {"engine.db", "engine.lock"} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_promotions_of_a_service_run_one_at_a_time_in_the_order_of_their_sequence(
    tmp_path: Path,
) -> None:
    journal = Journal()
    with started(tmp_path, journal.carry_out) as engine:
        engine.enqueue("wait", 1, service="fraud", sequence=1)
        eventually(lambda: journal.running == 1)
        for name, sequence in (("p-y", 3), ("p-x", 4), ("p-z", 2)):
            engine.enqueue(name, 1, service="fraud", sequence=sequence)
        engine.enqueue("other", 1, service="churn", sequence=1)
        eventually(lambda: "other" in journal.names())
        assert journal.names() == ["wait", "other"]
        assert {name for name, _ in engine.live()} >= {"wait", "p-z", "p-y", "p-x"}
        journal.go.set()
        eventually(lambda: len(journal.ran) == 5)
        eventually(lambda: engine.live() == set())
    assert journal.names() == ["wait", "other", "p-z", "p-y", "p-x"]


def test_a_second_worker_is_refused_and_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    with started(tmp_path, Journal().carry_out):
        second = Engine(tmp_path / "engine.db", Journal().carry_out)
        with pytest.raises(ConfigurationError, match="another worker runs on engine"):
            second.start()
    with started(tmp_path, Journal().carry_out):
        pass


def test_an_engine_that_was_not_started_takes_nothing(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "engine.db", Journal().carry_out)
    with pytest.raises(RuntimeError, match="has not been started"):
        engine.enqueue("p-1", 1, service="fraud", sequence=1)
    engine.stop()


def test_a_deleted_file_costs_checkpoints_and_nothing_else(tmp_path: Path) -> None:
    journal = Journal()
    with started(tmp_path, journal.carry_out) as engine:
        engine.enqueue("p-1", 1, service="fraud", sequence=1)
        eventually(lambda: engine.live() == set() and len(journal.ran) == 1)
    for file in tmp_path.glob("engine.db*"):
        file.unlink()
    with started(tmp_path, journal.carry_out) as engine:
        engine.enqueue("p-1", 1, service="fraud", sequence=1)
        eventually(lambda: len(journal.ran) == 2)


def test_an_attempt_whose_end_could_not_be_written_is_not_live_and_its_service_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, full = Journal(), threading.Event()
    journal.fails.add("wait")
    opened = pipeline.engine._open

    def with_a_disk_that_fills(path: Path) -> sa.Engine:
        database = opened(path)

        @sa.event.listens_for(database, "before_cursor_execute")
        def write(_connection: object, _cursor: object, sql: str, *_more: object) -> None:
            if full.is_set() and sql.startswith("UPDATE"):
                raise sqlite3.OperationalError("disk I/O error")

        return database

    monkeypatch.setattr(pipeline.engine, "_open", with_a_disk_that_fills)
    with started(tmp_path, journal.carry_out) as engine:
        engine.enqueue("wait", 1, service="fraud", sequence=1)
        eventually(lambda: journal.running == 1)
        full.set()
        journal.go.set()
        eventually(lambda: journal.running == 0)
        eventually(lambda: engine.live() == set())
        full.clear()
        engine.forget()
        engine.enqueue("p-2", 1, service="fraud", sequence=2)
        eventually(lambda: "p-2" in journal.names())
