"""Promotions: one row each, a sequence per service, and the events that tell their story."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import reduce
from typing import Any

import sqlalchemy as sa

from pipeline.domain.promotion import Control, ControlKind, Kind, Phase, Promotion, Steering
from pipeline.errors import NotFoundError
from pipeline.ledger import schema
from pipeline.ledger.database import Database
from pipeline.ledger.rows import changed_columns, promotion_of, promotion_row, stamp
from pipeline.ledger.story import tell_accepted, tell_controlled, tell_ended

_table = schema.promotions
OPEN = (Phase.PENDING.value, Phase.RUNNING.value)


@dataclass(frozen=True, slots=True)
class Page:
    """Some promotions, newest first, and the cursor that continues them."""

    items: tuple[Promotion, ...]
    next: str | None


class Promotions:
    """The promotions, by id; at most one per service acts at a time (§8.7)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, draft: Promotion) -> Promotion:
        """Record a new promotion with the service's next sequence, and supersede its older ones.

        One transaction: either all of it is true afterwards or none. The sequence is also above
        what the serving target was last observed to carry, because a ledger may have been lost.
        The same id again returns what was recorded first.
        """
        with self._database.write() as connection:
            return accept_within(connection, draft)

    def accept_if_still(self, draft: Promotion, newest: int) -> Promotion | None:
        """Record one that nobody asked for by hand, unless a person was faster.

        ``None``, and nothing is recorded, where the service is held, or where its newest promotion
        is not the one with sequence ``newest`` (0: none): then what to do must be decided anew.
        """
        held = sa.select(schema.holds.c.service).where(schema.holds.c.service == draft.service)
        with self._database.write() as connection:
            if connection.execute(held).first() or _highest(connection, draft.service) != newest:
                return None
            return accept_within(connection, draft)

    def get(self, promotion: str) -> Promotion | None:
        """Read one promotion."""
        with self._database.read() as connection:
            return find_within(connection, promotion)

    def open(self) -> list[Promotion]:
        """List the promotions that have not ended, oldest first."""
        return self._select(_table.c.phase.in_(OPEN), order=_table.c.id)

    def page(
        self,
        *,
        services: Collection[str] | None = None,
        phase: Phase | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """List promotions, newest first: of these services, or of all."""
        where = [
            None if services is None else _table.c.service.in_(services),
            _table.c.phase == phase.value if phase else None,
            _table.c.id < cursor if cursor else None,
        ]
        clauses = [clause for clause in where if clause is not None]
        found = self._select(*clauses, order=_table.c.id.desc(), limit=limit + 1)
        more = len(found) > limit
        return Page(tuple(found[:limit]), found[limit - 1].id if more else None)

    def of_service(self, service: str, *, kind: Kind | None = None) -> list[Promotion]:
        """List a service's promotions, newest first."""
        clauses = [_table.c.service == service]
        if kind is not None:
            clauses.append(_table.c.kind == kind.value)
        return self._select(*clauses, order=_table.c.sequence.desc())

    def services(self) -> list[str]:
        """Name every service that was ever promoted to, also those no longer in laurel.yaml."""
        query = sa.select(_table.c.service).distinct().order_by(_table.c.service)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def latest(self, service: str, *, kind: Kind | None = None) -> Promotion | None:
        """Read a service's newest promotion."""
        clauses = [_table.c.service == service]
        if kind is not None:
            clauses.append(_table.c.kind == kind.value)
        found = self._select(*clauses, order=_table.c.sequence.desc(), limit=1)
        return found[0] if found else None

    def phases(self) -> dict[str, int]:
        """Count promotions by phase."""
        query = sa.select(_table.c.phase, sa.func.count()).group_by(_table.c.phase)
        with self._database.read() as connection:
            return {str(phase): int(count) for phase, count in connection.execute(query)}

    def change(self, promotion: str, **fields: Any) -> Promotion:  # noqa: ANN401 - any column
        """Change fields of a promotion that has not ended; an ended one stays as it is.

        That it ended is told in its service's history.
        """
        with self._database.write() as connection:
            before = known_within(connection, promotion, "record a change")
            if before.phase.ended:
                return before
            connection.execute(
                sa.update(_table).where(_table.c.id == promotion).values(changed_columns(fields))
            )
            after = find_within(connection, promotion) or before
            if after.phase.ended:
                tell_ended(connection, after)
        return after

    def untold(self, limit: int = 100) -> list[Promotion]:
        """List ended promotions whose outcome MLflow has not been told yet, oldest first."""
        return self._select(
            _table.c.ended_at.is_not(None),
            _table.c.told_at.is_(None),
            order=_table.c.id,
            limit=limit,
        )

    def told(self, promotion: str, at: datetime) -> None:
        """Remember that MLflow has been told how a promotion ended."""
        with self._database.write() as connection:
            connection.execute(
                sa.update(_table).where(_table.c.id == promotion).values(told_at=stamp(at))
            )

    def _select(
        self,
        *where: sa.ColumnElement[bool],
        order: sa.ColumnElement[Any],
        limit: int | None = None,
    ) -> list[Promotion]:
        query = sa.select(_table).where(*where).order_by(order).limit(limit)
        with self._database.read() as connection:
            return [promotion_of(row) for row in connection.execute(query).mappings()]


class Controls:
    """Decisions about promotions that run."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, promotion: str, control: Control) -> None:
        """Record a decision.

        Raises
        ------
        NotFoundError
            Where no such promotion is known.

        """
        with self._database.write() as connection:
            found = known_within(connection, promotion, "record a decision")
            decide_within(connection, found, control)

    def first(self, promotion: str) -> Control | None:
        """Read the decision that was made first to end a promotion."""
        with self._database.read() as connection:
            return next(
                (each for each in controls_of(connection, promotion) if each.kind.ends), None
            )

    def made(self, promotion: str, kind: ControlKind, actor: str, since: datetime) -> bool:
        """Tell whether somebody decided this at that time or later."""
        with self._database.read() as connection:
            return any(
                (each.kind, each.actor) == (kind, actor) and each.at >= since
                for each in controls_of(connection, promotion)
            )

    def steering(self, promotion: str) -> Steering:
        """Read how people steer a promotion now."""
        with self._database.read() as connection:
            return steering_of(connection, promotion)


def find_within(connection: sa.Connection, promotion: str) -> Promotion | None:
    """Read one promotion within a transaction."""
    query = sa.select(_table).where(_table.c.id == promotion)
    row = connection.execute(query).mappings().first()
    return None if row is None else promotion_of(row)


def known_within(connection: sa.Connection, promotion: str, attempted: str) -> Promotion:
    """Read one promotion within a transaction; without it, what is ``attempted`` cannot be done."""
    found = find_within(connection, promotion)
    if found is None:
        raise NotFoundError(attempted, promotion, "no such promotion is known")
    return found


def newest_first(connection: sa.Connection, service: str) -> list[Promotion]:
    """List a service's promotions within a transaction."""
    query = sa.select(_table).where(_table.c.service == service)
    rows = connection.execute(query.order_by(_table.c.sequence.desc())).mappings()
    return [promotion_of(row) for row in rows]


def accept_within(connection: sa.Connection, draft: Promotion) -> Promotion:
    """Record a new promotion within a transaction: see :meth:`Promotions.accept`."""
    known = find_within(connection, draft.id)
    if known is not None:
        return known
    accepted = replace(draft, sequence=_next_sequence(connection, draft.service))
    connection.execute(sa.insert(_table).values(promotion_row(accepted)))
    tell_accepted(connection, accepted)
    if accepted.phase.ended:
        tell_ended(connection, accepted)
    _supersede(connection, accepted)
    return accepted


def _highest(connection: sa.Connection, service: str) -> int:
    highest = sa.select(sa.func.max(_table.c.sequence)).where(_table.c.service == service)
    return connection.execute(highest).scalar() or 0


def _next_sequence(connection: sa.Connection, service: str) -> int:
    observed = sa.select(schema.service_states.c.sequence).where(
        schema.service_states.c.service == service
    )
    return max(_highest(connection, service), connection.execute(observed).scalar() or 0) + 1


def _supersede(connection: sa.Connection, newest: Promotion) -> None:
    older = sa.select(_table).where(
        _table.c.service == newest.service,
        _table.c.sequence < newest.sequence,
        _table.c.phase.in_(OPEN),
    )
    control = Control(
        ControlKind.SUPERSEDE,
        newest.trigger.actor,
        f"promotion {newest.id} of {newest.model} is newer",
        newest.created_at,
    )
    for row in connection.execute(older.order_by(_table.c.sequence)).mappings().all():
        decide_within(connection, promotion_of(row), control)


def decide_within(connection: sa.Connection, promotion: Promotion, control: Control) -> None:
    """Record a decision within a transaction, and tell it."""
    connection.execute(sa.insert(schema.controls).values(_control(promotion.id, control)))
    tell_controlled(connection, promotion, control)


def controls_of(connection: sa.Connection, promotion: str) -> list[Control]:
    """List the decisions about a promotion within a transaction, the first one first."""
    table = schema.controls
    query = sa.select(table).where(table.c.promotion == promotion).order_by(table.c.id)
    return [
        Control(
            ControlKind(row["kind"]),
            row["actor"],
            row["reason"],
            datetime.fromisoformat(row["at"]),
        )
        for row in connection.execute(query).mappings()
    ]


def steering_of(connection: sa.Connection, promotion: str) -> Steering:
    """Read how people steer a promotion, within a transaction."""
    return reduce(Steering.after, controls_of(connection, promotion), Steering())


def _control(promotion: str, control: Control) -> dict[str, Any]:
    return {
        "promotion": promotion,
        "kind": control.kind.value,
        "actor": control.actor,
        "reason": control.reason,
        "at": stamp(control.at),
    }
