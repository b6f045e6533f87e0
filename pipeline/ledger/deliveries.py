"""What webhooks said: one row per delivery, and a count of what was refused."""

from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from pipeline.domain.delivery import AliasDelivery, Outcome
from pipeline.ledger import schema
from pipeline.ledger.database import Database
from pipeline.ledger.rows import delivery_of, delivery_row

_table = schema.deliveries


class Deliveries:
    """The deliveries, by the id that MLflow repeats when it retries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, deliveries: Sequence[AliasDelivery]) -> dict[str, AliasDelivery]:
        """Store a group of deliveries in one durable commit; one already known changes nothing.

        Returned is what now stands under each id: a repeat finds what was recorded first.
        """
        stored = sa.select(_table).where(_table.c.id.in_([delivery.id for delivery in deliveries]))
        with self._database.write() as connection:
            connection.execute(
                insert(_table).on_conflict_do_nothing(index_elements=["id"]),
                [delivery_row(delivery) for delivery in deliveries],
            )
            return {row["id"]: delivery_of(row) for row in connection.execute(stored).mappings()}

    def get(self, delivery: str) -> AliasDelivery | None:
        """Read one delivery."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(_table).where(_table.c.id == delivery)).mappings()
            found = row.first()
        return None if found is None else delivery_of(found)

    def unsettled(self) -> list[AliasDelivery]:
        """List the deliveries that the reconciler has not answered yet, oldest first."""
        query = sa.select(_table).where(_table.c.outcome.is_(None)).order_by(_table.c.received_at)
        with self._database.read() as connection:
            return [delivery_of(row) for row in connection.execute(query).mappings()]

    def settle(self, ids: Iterable[str], outcome: Outcome, promotion: str | None = None) -> None:
        """Record what became of deliveries; the first answer stays."""
        change = (
            sa.update(_table)
            .where(_table.c.id == sa.bindparam("settled"), _table.c.outcome.is_(None))
            .values(outcome=outcome.value, promotion=promotion)
        )
        with self._database.write() as connection:  # row by row: SQLite bounds the length of a list
            connection.execute(change, [{"settled": each} for each in ids])

    def outcomes(self) -> dict[str, int]:
        """Count deliveries by outcome; ``""`` counts the unsettled."""
        query = sa.select(sa.func.coalesce(_table.c.outcome, ""), sa.func.count()).group_by(
            _table.c.outcome
        )
        with self._database.read() as connection:
            return {str(outcome): int(count) for outcome, count in connection.execute(query)}

    def count_refused(self, reason: str, times: int = 1) -> None:
        """Count refused deliveries by reason; nothing else of them is kept."""
        table = schema.refused_deliveries
        statement = insert(table).values(reason=reason, count=times)
        statement = statement.on_conflict_do_update(
            index_elements=["reason"], set_={"count": table.c["count"] + times}
        )
        with self._database.write() as connection:
            connection.execute(statement)

    def refused(self) -> dict[str, int]:
        """Read how many deliveries were refused, by reason."""
        table = schema.refused_deliveries
        with self._database.read() as connection:
            rows = connection.execute(sa.select(table.c.reason, table.c["count"]))
            return {str(reason): int(count) for reason, count in rows}
