"""Events become the history of their service, chained.

What an older ledger says of its promotions, decisions and holds is told anew, at the times that
it has for them. All of it is chained here and now, and a last entry says so: what was changed
before this upgrade cannot be seen by the chain, what is changed from now on can.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from pipeline.domain.chain import Entry, Head, beginning, fingerprint, following

revision = "0002"
down_revision = "0001"

_metadata = sa.MetaData()  # as 0001 left them, whatever became of them since


def _table(name: str, *columns: str, json: tuple[str, ...] = ()) -> sa.Table:
    typed = [sa.Column(each, sa.JSON if each in json else None) for each in columns]
    return sa.Table(name, _metadata, *typed)


_promotions = _table(
    "promotions",
    *("id", "service", "kind", "sequence", "alias", "trigger", "reason", "target", "retry_of"),
    *("rebuild", "plan", "model_name", "model_version", "workspace", "phase", "image"),
    *("previous_image", "artifact_digest", "lock_digest", "base_digest", "key_id"),
    *("created_at", "ended_at"),
    json=("plan", "trigger"),
)
_controls = _table("controls", "id", "promotion", "kind", "actor", "reason", "at")
_holds = _table("holds", "service", "actor", "reason", "at", "alias_version")
_events = _table("events", "id", "promotion", "at", "kind", "data", json=("data",))

_IN_ORDER = sa.text("""
    SELECT created_at AS at, 0 AS place, 0 AS number, id AS ref FROM promotions
    UNION ALL SELECT at, 1, 0, service FROM holds
    UNION ALL SELECT at, 2, id, '' FROM controls
    UNION ALL SELECT at, 3, id, '' FROM events
    UNION ALL SELECT ended_at, 4, 0, id FROM promotions WHERE ended_at IS NOT NULL
    ORDER BY 1, 2, 3, 4
""")
_ASKED = ("kind", "sequence", "alias", "trigger", "reason", "target", "retry_of")
_CAME_OF_IT = (
    *("kind", "sequence", "phase", "reason", "image", "previous_image"),
    *("artifact_digest", "lock_digest", "base_digest", "key_id"),
)


def upgrade() -> None:
    """Write every event anew, in a table that knows services, numbers and hashes."""
    chained = op.create_table(
        "events_chained",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("promotion", sa.Text(), nullable=True),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("previous", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["promotion"], ["promotions.id"]),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("service", "number", name=op.f("uq_events_service_number")),
    )
    connection = op.get_bind()
    for entry in _chain(_told(connection)):
        row = {name: getattr(entry, name) for name in Entry.__slots__}
        connection.execute(sa.insert(chained).values(row))
    op.drop_table("events")  # its index goes with it
    op.rename_table("events_chained", "events")
    op.create_index(op.f("ix_events_promotion_id"), "events", ["promotion", "id"], unique=False)


def _chain(told: Iterator[dict[str, Any]]) -> Iterator[Entry]:
    heads: dict[str, Head] = {}
    for each in told:
        service = each["service"]
        entry = following(heads.get(service) or beginning(service), **each)
        heads[service] = entry.head
        yield entry
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    for service, head in heads.items():
        data = {"entries": head.number, "reason": "recorded before histories were chained"}
        yield following(head, service=service, promotion=None, at=now, kind="chained", data=data)


def _told(connection: sa.Connection) -> Iterator[dict[str, Any]]:
    """Tell everything in the order of its time; each row is read when its turn comes."""
    services = dict(connection.execute(sa.select(_promotions.c.id, _promotions.c.service)).all())
    for at, place, number, ref in connection.execute(_IN_ORDER).all():
        table, key = _PLACES[place]
        query = sa.select(table).where(table.c[key] == (ref or number))
        row = dict(connection.execute(query).mappings().one())
        promotion = row["id"] if table is _promotions else row.get("promotion")
        yield {
            "service": row.get("service") or services[promotion],
            "promotion": promotion,
            "at": at,
            **_TELLERS[place](row),
        }


def _accepted(row: dict[str, Any]) -> dict[str, Any]:
    data = {
        "model": _model(row),
        **{name: row[name] for name in _ASKED},
        "rebuild": bool(row["rebuild"]),
        "plan": fingerprint(row["plan"]),
    }
    return {"kind": "accepted", "data": data}


def _held(row: dict[str, Any]) -> dict[str, Any]:
    data = {name: row[name] for name in ("actor", "reason", "alias_version")}
    return {"kind": "held", "data": data}


def _controlled(row: dict[str, Any]) -> dict[str, Any]:
    data = {"control": row["kind"], "actor": row["actor"], "reason": row["reason"]}
    return {"kind": "controlled", "data": data}


def _event(row: dict[str, Any]) -> dict[str, Any]:
    return {"kind": row["kind"], "data": row["data"]}


def _ended(row: dict[str, Any]) -> dict[str, Any]:
    data = {"model": _model(row), **{name: row[name] for name in _CAME_OF_IT}}
    return {"kind": "ended", "data": data}


def _model(row: dict[str, Any]) -> dict[str, Any]:
    version = row["model_version"] or None
    return {"name": row["model_name"], "version": version, "workspace": row["workspace"]}


_PLACES = (
    (_promotions, "id"),
    (_holds, "service"),
    (_controls, "id"),
    (_events, "id"),
    (_promotions, "id"),
)
_TELLERS = (_accepted, _held, _controlled, _event, _ended)
