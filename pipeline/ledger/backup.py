"""A copy of a ledger while it is written, and back: whole, checked, and never over what is newer.

Copies are made by SQLite's own backup, which reads one moment's state while others write. What was
last observed of the services does not come back with a copy: it is of the past, so that nothing
automatic starts before somebody has looked at what serves now (interfaces §8.3).
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from pipeline.domain.chain import Head, verify_chain
from pipeline.errors import ConfigurationError, CorruptedError, UnavailableError
from pipeline.ledger import Ledger, schema
from pipeline.ledger.database import Database

_HEADS = (
    "SELECT service, number, hash FROM events AS e WHERE number = "
    "(SELECT max(number) FROM events WHERE service = e.service)"
)


@dataclass(frozen=True, slots=True)
class Copied:
    """What a copy holds: how far each service's history has come, and how many promotions."""

    heads: Mapping[str, Head]
    promotions: int


def back_up(ledger: Path, to: Path) -> Copied:
    """Copy a ledger that may be in use into a new file of its owner's alone.

    Raises
    ------
    ConfigurationError
        Where the file is there already, or its folder is not.
    CorruptedError
        Where the copy is damaged, or a history in it does not verify.

    """
    with _draft(to) as draft:
        _copy(ledger, draft)
        copied = _checked(draft)
        _make_whole(draft)
        try:
            os.link(draft, to)
        except FileExistsError as error:
            raise ConfigurationError(f"{to} is there already and is not overwritten") from error
    return copied


def restore(backup: Path, ledger: Path, *, older: bool) -> Copied:
    """Put a copy in a ledger's place, all of it or nothing; ``older`` also over one that is newer.

    Raises
    ------
    ConfigurationError
        Where somebody uses the ledger, where the copy is none of a ledger or of a newer Laurel, and
        where the ledger knows more than it, unless that is told.
    CorruptedError
        Where the copy is damaged, or a history in it does not verify.

    """
    with _draft(ledger) as draft:
        _copy(backup, draft)
        _bring_up_to_date(draft, backup)
        copied = _checked(draft)
        with _occupied(ledger) as connection:
            if not older:
                _require_nothing_newer(connection, draft, ledger)
            with closing(sqlite3.connect(draft)) as source:
                source.backup(connection)
    return copied


@contextmanager
def _draft(beside: Path) -> Iterator[Path]:
    """Lend a file of one's own (0600) beside another, and leave nothing of it."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{beside.name}-", dir=beside.parent)
    except OSError as error:
        raise ConfigurationError(f"could not write {beside}: {error.strerror}") from error
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        for left in (name, f"{name}-wal", f"{name}-shm", f"{name}-journal"):
            Path(left).unlink(missing_ok=True)


def _copy(source: Path, draft: Path) -> None:
    if not source.is_file():
        raise ConfigurationError(f"{source} is not there")
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=rw", uri=True)) as opened,
            closing(sqlite3.connect(draft)) as copy,
        ):
            opened.backup(copy)
            found = copy.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise UnavailableError("copy a ledger", str(source), f"{error}; make room") from error
    except sqlite3.DatabaseError as error:
        raise ConfigurationError(f"{source} is no ledger: {error}") from error
    if found != "ok":
        raise CorruptedError("copy a ledger", str(source), f"it is damaged: {found}")


def _bring_up_to_date(draft: Path, backup: Path) -> None:
    """Give a copy today's schema, and forget what was observed when it was made."""
    database = Database(f"sqlite:///{draft}")
    try:
        known = database.revision()
        if known is None:
            raise ConfigurationError(f"{backup} is no ledger")
        if not database.knows(known):
            raise ConfigurationError(f"{backup} was made by a newer Laurel: restore it with that")
        database.migrate()
        with database.write() as connection:
            connection.execute(sa.delete(schema.service_states))
    finally:
        database.close()


def _checked(draft: Path) -> Copied:
    """Recompute every history of a copy."""
    ledger = Ledger(f"sqlite:///{draft}")
    try:
        with ledger.database.read() as connection:
            services = connection.execute(sa.select(schema.events.c.service).distinct()).scalars()
            names = sorted(services)
            count = sa.select(sa.func.count()).select_from(schema.promotions)
            promotions = connection.execute(count).scalar() or 0
        heads = {}
        for name in names:
            head = verify_chain(ledger.history.export(name), name)
            if not isinstance(head, Head):
                raise CorruptedError("verify a history", name, head.why)
            heads[name] = head
        return Copied(heads, promotions)
    finally:
        ledger.close()


def _make_whole(draft: Path) -> None:
    """Have everything in the one file, on the disk."""
    with closing(sqlite3.connect(draft)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    with draft.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _occupied(ledger: Path) -> Iterator[sqlite3.Connection]:
    """Open a ledger alone; SQLite leaves WAL only where nobody else has it open."""
    ledger.touch(mode=0o600)
    with closing(sqlite3.connect(ledger, timeout=0, isolation_level=None)) as connection:
        try:
            for alone in ("PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=DELETE"):
                connection.execute(alone)
            connection.executescript("BEGIN EXCLUSIVE; COMMIT")
        except sqlite3.OperationalError as error:
            hint = "stop laurel up, serve and worker first"
            raise ConfigurationError(f"{ledger} is in use ({error}): {hint}") from error
        except sqlite3.DatabaseError as error:
            hint = "move it away first"
            raise ConfigurationError(f"{ledger} is damaged ({error}): {hint}") from error
        yield connection


def _require_nothing_newer(connection: sqlite3.Connection, draft: Path, ledger: Path) -> None:
    here: dict[str, Head] = {}
    with suppress(sqlite3.OperationalError):  # nothing was ever written there
        here = {name: Head(number, sealed) for name, number, sealed in connection.execute(_HEADS)}
    other = Ledger(f"sqlite:///{draft}")
    try:
        newer = [
            f"{name} has entry {head.number}"
            for name, head in sorted(here.items())
            if not other.history.was_at(name, head)
        ]
    finally:
        other.close()
    if newer:
        raise ConfigurationError(
            f"{ledger} knows what the copy does not: {', '.join(newer)}; "
            "back it up, then restore with --older"
        )
