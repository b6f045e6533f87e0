"""The outbox: what each channel is still to be told. The events are its source, told or not.

A channel's cursor is the last event that was looked at for it. Cursor and what was found before it
move in one transaction, so that nothing is passed over and nothing is queued twice.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from pipeline.domain.chain import Entry
from pipeline.ledger import schema
from pipeline.ledger.database import Database
from pipeline.ledger.history import tell
from pipeline.ledger.rows import stamp

channels = sa.Table(
    "notification_channels",
    schema.metadata,
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("cursor", sa.BigInteger, nullable=False),
)

notifications = sa.Table(
    "notifications",
    schema.metadata,
    sa.Column("channel", sa.Text, primary_key=True),
    sa.Column("event", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("queued_at", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", sa.Text),
    sa.Column("delivered_at", sa.Text),
    sa.Column("last_error", sa.Text),
    sa.Index(None, "channel", "due_at"),
)

_events = schema.events
_ENTRY = [_events.c[name] for name in Entry.__slots__]


@dataclass(frozen=True, slots=True)
class Due:
    """One event that a channel is to be told now; ``attempts`` were made before."""

    event: int
    entry: Entry
    queued_at: datetime
    attempts: int


class Notifications:
    """What is to be told, by channel; ``due_at`` is null when nothing more will be tried."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def watch(self, names: Collection[str]) -> None:
        """Begin with these channels: a new one starts here and now, others are forgotten."""
        with self._database.read() as connection:
            if set(connection.execute(sa.select(channels.c.channel)).scalars()) == set(names):
                return
        with self._database.write() as connection:
            newest = connection.execute(_newest()).scalar() or 0
            for table in (channels, notifications):
                connection.execute(sa.delete(table).where(table.c.channel.not_in(names)))
            for name in names:
                new = insert(channels).values(channel=name, cursor=newest)
                connection.execute(new.on_conflict_do_nothing())

    def cursor(self, channel: str) -> int:
        """Read up to which event a channel was looked after."""
        query = sa.select(channels.c.cursor).where(channels.c.channel == channel)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def newest(self) -> int:
        """Read the id of the newest event."""
        with self._database.read() as connection:
            return int(connection.execute(_newest()).scalar() or 0)

    def between(
        self, after: int, last: int, *, kinds: Collection[str], limit: int
    ) -> list[tuple[int, Entry]]:
        """List events of some kinds with their ids, oldest first."""
        query = sa.select(_events.c.id, *_ENTRY).where(
            _events.c.id > after, _events.c.id <= last, _events.c.kind.in_(kinds)
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(_events.c.id).limit(limit)).all()
        return [(row[0], Entry(*row[1:])) for row in rows]

    def queue(self, channel: str, events: Iterable[int], *, cursor: int, at: datetime) -> None:
        """Queue events for a channel, and move its cursor."""
        moved = sa.update(channels).where(channels.c.channel == channel).values(cursor=cursor)
        with self._database.write() as connection:
            for event in events:
                new = insert(notifications).values(
                    channel=channel, event=event, queued_at=stamp(at), attempts=0, due_at=stamp(at)
                )
                connection.execute(new.on_conflict_do_nothing())
            connection.execute(moved)

    def due(self, channel: str, now: datetime, limit: int) -> list[Due]:
        """List what a channel is to be told now, in the order in which it happened."""
        query = (
            sa.select(notifications, *_ENTRY)
            .join(_events, _events.c.id == notifications.c.event)
            .where(notifications.c.channel == channel, notifications.c.due_at <= stamp(now))
            .order_by(notifications.c.event)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).mappings().all()
        return [
            Due(
                row["event"],
                Entry(**{column.name: row[column] for column in _ENTRY}),
                datetime.fromisoformat(row["queued_at"]),
                row["attempts"],
            )
            for row in rows
        ]

    def delivered(self, channel: str, due: Due, at: datetime) -> None:
        """Remember that a channel took it."""
        self._set(channel, due, due_at=None, delivered_at=stamp(at), last_error=None)

    def failed(self, channel: str, due: Due, why: str, *, again_at: datetime) -> None:
        """Remember that it did not, and when to try again."""
        self._set(channel, due, due_at=stamp(again_at), last_error=why)

    def give_up(self, channel: str, due: Due, why: str, at: datetime, warning: str) -> None:
        """Try it no more, and say so in the history of its service."""
        entry = due.entry
        with self._database.write() as connection:
            connection.execute(
                _one(channel, due).values(attempts=due.attempts + 1, due_at=None, last_error=why)
            )
            said = {"warning": warning}
            tell(connection, entry.service, at, "warning", said, entry.promotion)

    def _set(self, channel: str, due: Due, **values: str | None) -> None:
        change = _one(channel, due).values(attempts=due.attempts + 1, **values)
        with self._database.write() as connection:
            connection.execute(change)


def _newest() -> sa.Select[Any]:
    return sa.select(sa.func.max(_events.c.id))


def _one(channel: str, due: Due) -> sa.Update:
    table = notifications
    return sa.update(table).where(table.c.channel == channel, table.c.event == due.event)
