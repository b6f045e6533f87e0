"""Copies of a ledger: made while it is written, checked, and never put over what is newer."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.domain.promotion import Phase
from pipeline.domain.serving import Hold, ServiceState
from pipeline.errors import ConfigurationError, CorruptedError, UnavailableError
from pipeline.ledger import Ledger
from pipeline.ledger.backup import back_up, restore
from tests.unit.ledger.test_ledger import NOW, draft
from tests.unit.ledger.test_migrations import first_schema


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "laurel.db"


@pytest.fixture
def ledger(ledger: Ledger) -> Ledger:
    ledger.promotions.accept(draft())
    return ledger


def reopened(file: Path) -> Ledger:
    return Ledger(f"sqlite:///{file}")


def edit(copy: Path, statement: str) -> None:
    with closing(sqlite3.connect(copy)) as opened:
        opened.execute(statement)
        opened.commit()


def go_on(ledger: Ledger) -> None:
    """Have something happen that no copy of before knows."""
    ledger.holds.set("fraud", Hold("ada", "an audit", NOW))


def test_a_copy_is_whole_in_one_file_of_its_owners_alone(ledger: Ledger, tmp_path: Path) -> None:
    to = tmp_path / "copy.db"
    copied = back_up(tmp_path / "laurel.db", to)
    assert (copied.promotions, copied.heads) == (1, {"fraud": ledger.history.head("fraud")})
    assert to.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.glob("*copy*")] == ["copy.db"]
    with closing(sqlite3.connect(to)) as opened:
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert opened.execute("SELECT count(*) FROM promotions").fetchone() == (1,)


def test_a_copy_that_is_made_while_others_write_is_one_moments_state(
    ledger: Ledger, file: Path, tmp_path: Path
) -> None:
    promotion, stop = ledger.promotions.open()[0].id, threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            ledger.events.append(promotion, NOW, "look", {"number": number})

    writing = threading.Thread(target=write)
    writing.start()
    try:
        heads = [back_up(file, tmp_path / f"{n}.db").heads["fraud"] for n in range(5)]
    finally:
        stop.set()
        writing.join()
    assert all(ledger.history.was_at("fraud", head) for head in heads)


def test_a_copy_never_goes_over_a_file_that_is_there(
    ledger: Ledger, file: Path, tmp_path: Path
) -> None:
    assert ledger.current()
    to = tmp_path / "copy.db"
    to.write_text("keep me")
    with pytest.raises(ConfigurationError, match="is there already and is not overwritten"):
        back_up(file, to)
    assert to.read_text() == "keep me"
    with pytest.raises(ConfigurationError, match="could not write"):
        back_up(file, tmp_path / "nowhere" / "copy.db")
    with pytest.raises(ConfigurationError, match="is not there"):
        back_up(tmp_path / "other.db", tmp_path / "copy-2.db")


def test_what_was_lost_comes_back_from_a_copy(ledger: Ledger, file: Path, tmp_path: Path) -> None:
    copied = back_up(file, tmp_path / "copy.db")
    ledger.close()
    file.unlink()
    assert restore(tmp_path / "copy.db", file, older=False) == copied
    assert file.stat().st_mode & 0o777 == 0o600
    with closing(reopened(file)) as back:
        assert back.promotions.open()[0].phase is Phase.PENDING
        assert back.history.head("fraud") == copied.heads["fraud"]


def test_a_ledger_that_somebody_has_open_is_not_replaced(
    ledger: Ledger, file: Path, tmp_path: Path
) -> None:
    back_up(file, tmp_path / "copy.db")
    ledger.promotions.open()  # an idle connection, as a receiver has between two calls
    with pytest.raises(ConfigurationError, match=r"in use .*: stop laurel up, serve and worker"):
        restore(tmp_path / "copy.db", file, older=True)
    go_on(ledger)
    assert ledger.holds.get("fraud") is not None


def test_a_ledger_that_knows_more_is_replaced_only_where_that_is_told(
    ledger: Ledger, file: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    back_up(file, copy)
    go_on(ledger)
    ledger.promotions.accept(draft(service="churn"))
    ledger.close()
    newer = "knows what the copy does not: churn has entry 1, fraud has entry 2; back it up"
    with pytest.raises(ConfigurationError, match=newer):
        restore(copy, file, older=False)
    with closing(reopened(file)) as same:
        assert same.holds.get("fraud") is not None
    restore(copy, file, older=True)
    with closing(reopened(file)) as back:
        assert back.holds.get("fraud") is None
        assert back.history.head("churn").number == 0


def test_what_was_observed_when_the_copy_was_made_does_not_come_back(
    ledger: Ledger, file: Path, tmp_path: Path
) -> None:
    ledger.states.observed(ServiceState("fraud", "http://fraud.test", sequence=1), NOW)
    back_up(file, tmp_path / "copy.db")
    ledger.close()
    restore(tmp_path / "copy.db", file, older=False)
    with closing(reopened(file)) as back:
        assert back.states.get("fraud") is None


def test_a_copy_whose_history_was_changed_is_refused(
    ledger: Ledger, file: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    back_up(file, copy)
    ledger.close()
    edit(copy, "UPDATE events SET data = json_set(data, '$.reason', 'none')")
    with pytest.raises(CorruptedError, match="entry 1 was changed"):
        restore(copy, file, older=False)
    with closing(reopened(file)) as same:
        assert len(same.promotions.open()) == 1


def test_what_is_no_copy_of_a_ledger_is_refused(tmp_path: Path, file: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("no database, and longer than the header of one " * 100)
    with pytest.raises(ConfigurationError, match="is no ledger"):
        restore(copy, file, older=False)
    copy.unlink()
    sqlite3.connect(copy).close()
    with pytest.raises(ConfigurationError, match="is no ledger"):
        restore(copy, file, older=False)
    assert not file.exists()


def test_a_copy_of_a_newer_laurel_is_refused(ledger: Ledger, file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    back_up(file, copy)
    ledger.close()
    edit(copy, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="was made by a newer Laurel"):
        restore(copy, file, older=False)


def test_a_copy_of_an_older_laurel_comes_with_the_newest_schema(tmp_path: Path) -> None:
    first_schema(tmp_path).close()
    (tmp_path / "laurel.db").rename(tmp_path / "old.db")
    restore(tmp_path / "old.db", tmp_path / "laurel.db", older=False)
    with closing(reopened(tmp_path / "laurel.db")) as back:
        assert back.current()


def test_a_damaged_copy_and_a_damaged_ledger_are_told_apart(
    ledger: Ledger, file: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    back_up(file, copy)
    ledger.close()
    file.write_text("no database, and longer than the header of one " * 100)
    with pytest.raises(ConfigurationError, match=r"laurel\.db is damaged .*: move it away first"):
        restore(copy, file, older=True)
    content = bytearray(copy.read_bytes())
    for at in range(4096 * 3, len(content), 4096):
        content[at : at + 8] = b"\xff" * 8
    copy.write_bytes(content)
    with pytest.raises((CorruptedError, ConfigurationError, UnavailableError)):
        restore(copy, tmp_path / "new.db", older=False)
    assert not (tmp_path / "new.db").exists()
