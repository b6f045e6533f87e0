"""The append-only story of each promotion: steps, looks, warnings, in the order they happened.

It is the part of its service's history (:mod:`pipeline.ledger.history`) that is about it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.errors import NotFoundError
from pipeline.ledger import schema
from pipeline.ledger.database import Database
from pipeline.ledger.history import tell

_table = schema.events


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a promotion; ``id`` rises over the whole ledger."""

    id: int
    promotion: str
    at: datetime
    kind: str
    data: dict[str, Any]


class Events:
    """The events; nothing changes or removes one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, promotion: str, at: datetime, kind: str, data: dict[str, Any]) -> None:
        """Add an event to a promotion's story, and to its service's history.

        Raises
        ------
        NotFoundError
            Where no such promotion is known.

        """
        of = sa.select(schema.promotions.c.service).where(schema.promotions.c.id == promotion)
        with self._database.write() as connection:
            service = connection.execute(of).scalar()
            if service is None:
                raise NotFoundError("record an event", promotion, "no such promotion is known")
            tell(connection, service, at, kind, data, promotion)

    def of(self, promotion: str, *, kind: str | None = None, after: int = 0) -> list[Event]:
        """List a promotion's events after event ``after``, oldest first."""
        query = sa.select(_table).where(_table.c.promotion == promotion, _table.c.id > after)
        if kind is not None:
            query = query.where(_table.c.kind == kind)
        with self._database.read() as connection:
            return [
                Event(
                    id=row["id"],
                    promotion=row["promotion"],
                    at=datetime.fromisoformat(row["at"]),
                    kind=row["kind"],
                    data=row["data"],
                )
                for row in connection.execute(query.order_by(_table.c.id)).mappings()
            ]
