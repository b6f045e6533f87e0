"""What callers were answered, by the key under which they may ask again."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from pipeline.ledger import schema
from pipeline.ledger.database import Database
from pipeline.ledger.rows import stamp

_table = schema.answers


@dataclass(frozen=True, slots=True)
class Given:
    """An answer as it was given."""

    status: int
    body: str
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A caller's key, since it was first used; ``given`` once what it asked for has its answer."""

    caller: str
    key: str
    at: datetime
    given: Given | None = None


class Answers:
    """The answers; each is forgotten some time after its key was first used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(
        self, caller: str, key: str, request: str, *, at: datetime, kept: timedelta
    ) -> Claim | None:
        """Take a key for a request, or find what it was answered; ``None``: it is another's."""
        row: dict[str, Any] = {
            "caller": caller,
            "key": key,
            "request": request,
            "at": stamp(at),
            "until": stamp(at + kept),
        }
        with self._database.write() as connection:
            connection.execute(sa.delete(_table).where(_table.c.until < stamp(at)))
            query = sa.select(_table).where(*_same(caller, key))
            before = connection.execute(query).mappings().first()
            if before is None:
                connection.execute(sa.insert(_table).values(row))
        if before is None:
            return Claim(caller, key, at)
        if before["request"] != request:
            return None
        claim = Claim(caller, key, datetime.fromisoformat(before["at"]))
        if before["status"] is None:
            return claim
        given = Given(before["status"], before["body"], before["location"])
        return replace(claim, given=given)

    def give(self, claim: Claim, given: Given) -> None:
        """Remember an answer; the one that was given first stays."""
        change = sa.update(_table).where(*_same(claim.caller, claim.key), _table.c.status.is_(None))
        values = {"status": given.status, "body": given.body, "location": given.location}
        with self._database.write() as connection:
            connection.execute(change.values(values))


def _same(caller: str, key: str) -> tuple[sa.ColumnElement[bool], ...]:
    return _table.c.caller == caller, _table.c.key == key
