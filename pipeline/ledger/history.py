"""The history of each service: its events in the order in which they were told, chained.

Every entry is written by :func:`tell`, in the transaction of the row that it tells of. Writers
queue on the ledger's one lock, so nobody else reads the same head meanwhile; two who did would
both write the same number, and the second write fails on it.
"""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.domain.chain import Entry, Head, beginning, following
from pipeline.domain.history import FATEFUL, FATEFUL_STEPS, STEP_ENDED
from pipeline.ledger import schema
from pipeline.ledger.database import Database
from pipeline.ledger.rows import stamp

_table = schema.events
_COLUMNS = [_table.c[name] for name in Entry.__slots__]
_PAGE = 500


def tell(
    connection: sa.Connection,
    service: str,
    at: datetime,
    kind: str,
    data: dict[str, Any],
    promotion: str | None = None,
) -> None:
    """Add an entry to a service's history, within a writing transaction."""
    entry = following(
        _head(connection, service),
        service=service,
        promotion=promotion,
        at=stamp(at),
        kind=kind,
        data=data,
    )
    row = {name: getattr(entry, name) for name in Entry.__slots__}
    connection.execute(sa.insert(_table).values(row))


class History:
    """What happened to each service; entries are added where it happens, and never change."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def head(self, service: str) -> Head:
        """Read how far a service's history has come."""
        with self._database.read() as connection:
            return _head(connection, service)

    def was_at(self, service: str, head: Head) -> bool:
        """Tell whether a service's history ever had this head."""
        if not head.number:
            return head == beginning(service)
        found = self.entries(service, after=head.number - 1, limit=1)
        return [each.head for each in found] == [head]

    def entries(
        self,
        service: str,
        *,
        after: int = 0,
        limit: int | None = None,
        kinds: Collection[str] = (),
        promotion: str | None = None,
    ) -> list[Entry]:
        """List entries after number ``after``, oldest first: all, some kinds, or a promotion's."""
        clauses = [_table.c.service == service, _table.c.number > after]
        if kinds:
            clauses.append(_table.c.kind.in_(kinds))
        if promotion is not None:
            clauses.append(_table.c.promotion == promotion)
        query = sa.select(*_COLUMNS).where(*clauses).order_by(_table.c.number).limit(limit)
        with self._database.read() as connection:
            return [Entry(**row) for row in connection.execute(query).mappings()]

    def fate(self, service: str) -> list[Entry]:
        """List what tells what served, and why: not every look and step."""
        step = _table.c.data["name"].as_string()
        fateful = sa.or_(
            _table.c.kind.in_(FATEFUL),
            sa.and_(_table.c.kind == STEP_ENDED, step.in_(FATEFUL_STEPS)),
        )
        query = sa.select(*_COLUMNS).where(_table.c.service == service, fateful)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_table.c.number)).mappings()
            return [Entry(**row) for row in rows]

    def export(self, service: str, *, after: int = 0, limit: int | None = None) -> Iterator[Entry]:
        """Read a history page by page: it may be larger than memory, and grows meanwhile."""
        while limit is None or limit > 0:
            size = _PAGE if limit is None else min(limit, _PAGE)
            page = self.entries(service, after=after, limit=size)
            yield from page
            if len(page) < size:
                return
            after = page[-1].number
            limit = None if limit is None else limit - size


def _head(connection: sa.Connection, service: str) -> Head:
    query = sa.select(_table.c.number, _table.c.hash).where(_table.c.service == service)
    last = connection.execute(query.order_by(_table.c.number.desc()).limit(1)).first()
    return beginning(service) if last is None else Head(last.number, last.hash)
