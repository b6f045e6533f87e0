"""What the ledger remembers of services: observed states, holds, and where an alias was seen."""

from datetime import datetime

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.dialects.sqlite import insert

from pipeline.domain.references import Alias
from pipeline.domain.serving import Hold, ServiceState
from pipeline.ledger import schema
from pipeline.ledger.database import Database
from pipeline.ledger.rows import stamp
from pipeline.ledger.story import tell_held, tell_released

_STATE = TypeAdapter(ServiceState)


class States:
    """What the worker last observed of each service: the receiver has no other eyes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def observed(self, state: ServiceState, at: datetime) -> None:
        """Record what a service serves."""
        values = {
            "at": stamp(at),
            "sequence": state.sequence,
            "state": _STATE.dump_python(state, mode="json"),
        }
        statement = insert(schema.service_states).values(service=state.name, **values)
        with self._database.write() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["service"], set_=values)
            )

    def get(self, service: str) -> tuple[ServiceState, datetime] | None:
        """Read a service's last observed state and when that was."""
        with self._database.read() as connection:
            return observed_within(connection, service)


def observed_within(
    connection: sa.Connection, service: str
) -> tuple[ServiceState, datetime] | None:
    """Read a service's last observed state within a transaction."""
    table = schema.service_states
    row = connection.execute(sa.select(table).where(table.c.service == service)).mappings().first()
    if row is None:
        return None
    return _STATE.validate_python(row["state"]), datetime.fromisoformat(row["at"])


class Holds:
    """Services that automation may not change for now (§8.10)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, service: str) -> Hold | None:
        """Read a service's hold."""
        with self._database.read() as connection:
            return held_within(connection, service)

    def set(self, service: str, hold: Hold) -> None:
        """Hold a service; a later hold replaces the earlier."""
        with self._database.write() as connection:
            hold_within(connection, service, hold)

    def remember(self, service: str, hold: Hold) -> None:
        """Add to a hold which version the alias named, unless somebody changed the hold since."""
        change = sa.update(schema.holds).values(alias_version=hold.alias_version)
        with self._database.write() as connection:
            connection.execute(change.where(*_same(service, hold)))

    def release(
        self,
        service: str,
        hold: Hold | None = None,
        *,
        actor: str,
        at: datetime,
        reason: str = "",
    ) -> None:
        """End a hold, or this one only if it is still the one; none there is fine."""
        table = schema.holds
        which = (table.c.service == service,) if hold is None else _same(service, hold)
        with self._database.write() as connection:
            if connection.execute(sa.delete(table).where(*which)).rowcount:
                tell_released(connection, service, at, actor, reason)

    def unread(self) -> dict[str, datetime]:
        """List the services that are held, since when, and for which no alias was read yet."""
        table = schema.holds
        query = sa.select(table.c.service, table.c.at).where(table.c.alias_version.is_(None))
        with self._database.read() as connection:
            return {
                row.service: datetime.fromisoformat(row.at) for row in connection.execute(query)
            }


def held_within(connection: sa.Connection, service: str) -> Hold | None:
    """Read a service's hold within a transaction."""
    table = schema.holds
    query = sa.select(table).where(table.c.service == service)
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    at = datetime.fromisoformat(row["at"])
    return Hold(row["actor"], row["reason"], at, row["alias_version"])


def hold_within(connection: sa.Connection, service: str, hold: Hold) -> None:
    """Hold a service within a transaction."""
    values = {
        "actor": hold.actor,
        "reason": hold.reason,
        "at": stamp(hold.at),
        "alias_version": hold.alias_version,
    }
    statement = insert(schema.holds).values(service=service, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["service"], set_=values))
    tell_held(connection, service, hold)


def _same(service: str, hold: Hold) -> tuple[sa.ColumnElement[bool], ...]:
    """Mean one hold: a later one of the same service has another time."""
    return schema.holds.c.service == service, schema.holds.c.at == stamp(hold.at)


class Sightings:
    """Every version that a delivery or a poll ever saw an alias on (§8.4)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def saw(self, alias: Alias, version: int, at: datetime) -> None:
        """Remember that the alias was on this version; the first time counts."""
        row = {
            "workspace": alias.workspace,
            "model": alias.model,
            "alias": alias.name,
            "version": version,
            "at": stamp(at),
        }
        with self._database.write() as connection:
            connection.execute(insert(schema.sightings).values(row).on_conflict_do_nothing())

    def ever(self, alias: Alias, version: int) -> bool:
        """Tell whether the alias was ever seen on this version."""
        table = schema.sightings
        query = sa.select(table.c.version).where(
            table.c.workspace == alias.workspace,
            table.c.model == alias.model,
            table.c.alias == alias.name,
            table.c.version == version,
        )
        with self._database.read() as connection:
            return connection.execute(query).first() is not None
