"""A ledger of an older Laurel comes along whole, whatever stood in it."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command

from pipeline.domain.chain import Head, verify_chain
from pipeline.domain.promotion import Control, ControlKind, Phase
from pipeline.domain.serving import Hold
from pipeline.ledger import Ledger
from pipeline.ledger.database import Database, alembic_config
from pipeline.ledger.schema import metadata
from tests.unit.ledger.test_ledger import IMAGE, NOW, draft
from tests.unit.ledgers import open_ledger

LATER = [NOW + timedelta(minutes=n) for n in range(10)]


def first_schema(folder: Path) -> sqlite3.Connection:
    """Make a ledger as the first Laurel had it."""
    database = Database(f"sqlite:///{folder}/laurel.db")
    with database.write() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    database.close()
    return sqlite3.connect(folder / "laurel.db")


def copied(ledger: Ledger, old: sqlite3.Connection) -> None:
    """Write what a ledger of today holds as the first Laurel wrote it, which told no fates."""
    told_since = ("accepted", "ended", "controlled", "held", "released")
    with ledger.database.read() as connection:
        for name in ("promotions", "controls", "holds", "events"):
            columns = [each[1] for each in old.execute(f"PRAGMA table_info({name})")]
            for row in connection.execute(metadata.tables[name].select()).mappings():
                if row.get("kind") in told_since:
                    continue
                values = [_raw(row[column]) for column in columns]
                marks = ", ".join("?" * len(columns))
                old.execute(f"INSERT INTO {name} VALUES ({marks})", values)  # noqa: S608 - names of the schema
    old.commit()
    old.close()


def _raw(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict | list) else value


def told(ledger: Ledger, service: str) -> list[tuple[str, str, str | None, dict[str, Any]]]:
    return [(e.at, e.kind, e.promotion, e.data) for e in ledger.history.entries(service)]


@pytest.fixture
def lived(tmp_path: Path) -> Iterator[Ledger]:
    """Lend a ledger of today with two services, decisions, events and a hold."""
    (tmp_path / "today").mkdir()
    ledger = open_ledger(tmp_path / "today")
    first = ledger.promotions.accept(draft())
    ledger.events.append(first.id, LATER[1], "step_started", {"name": "check", "attempt": 1})
    ledger.events.append(first.id, LATER[2], "look", {"percent": 10, "p": 0.001, "big": 2**60})
    ledger.controls.add(first.id, Control(ControlKind.ABORT, "ada", "looks wrong", LATER[3]))
    ledger.promotions.change(first.id, phase=Phase.ABORTED, image=IMAGE, ended_at=LATER[4])
    ledger.promotions.accept(draft(service="churn"))
    ledger.holds.set("fraud", Hold("ada", "an audit", LATER[5], 7))
    yield ledger
    ledger.close()


def test_an_older_ledger_comes_along_with_its_whole_story_chained(
    lived: Ledger, tmp_path: Path
) -> None:
    copied(lived, first_schema(tmp_path))
    ledger = Ledger(f"sqlite:///{tmp_path}/laurel.db")
    assert not ledger.current()
    ledger.migrate()
    assert ledger.current()
    for service in ("fraud", "churn"):
        *entries, last = told(ledger, service)
        assert entries == told(lived, service)
        why = "recorded before histories were chained"
        assert last[1:] == ("chained", None, {"entries": len(entries), "reason": why})
        assert datetime.fromisoformat(last[0]) <= datetime.now(UTC)
        head = verify_chain(ledger.history.entries(service), service)
        assert head == ledger.history.head(service)
    ledger.close()


def test_what_follows_an_upgrade_continues_the_chain(lived: Ledger, tmp_path: Path) -> None:
    copied(lived, first_schema(tmp_path))
    ledger = Ledger(f"sqlite:///{tmp_path}/laurel.db")
    ledger.migrate()
    before = ledger.history.head("fraud")
    ledger.promotions.accept(draft(2))
    entries = ledger.history.entries("fraud")
    assert entries[before.number].previous == before.hash
    assert isinstance(verify_chain(entries, "fraud"), Head)
    ledger.close()


def test_an_older_ledger_without_a_promotion_has_no_history(tmp_path: Path) -> None:
    first_schema(tmp_path).close()
    ledger = Ledger(f"sqlite:///{tmp_path}/laurel.db")
    ledger.migrate()
    assert ledger.history.head("fraud").number == 0
    ledger.close()
