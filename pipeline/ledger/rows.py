"""Promotions as rows and back; JSON columns hold values that the domain defines."""

import hashlib
import secrets
import time
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from pipeline.domain.delivery import AliasAction, AliasDelivery, Outcome
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Kind, Phase, Promotion, Trigger, Waiting
from pipeline.domain.references import Digest, ImageRef, ModelVersion

_PLAN = TypeAdapter(Plan)
_TRIGGER = TypeAdapter(Trigger)
_WAITING = TypeAdapter(Waiting)
_IMAGES = ("target", "image", "previous_image")
_DIGESTS = ("artifact_digest", "lock_digest", "base_digest")
_SAME = ("id", "service", "sequence", "reason", "alias", "attempt", "rebuild", "retry_of")
_FOUND = ("run_id", "model_id", "source", "key_id")


def new_id() -> str:
    """Make a UUIDv7 (RFC 9562): ids sort by the millisecond they were made in."""
    return _uuid7(int(time.time() * 1000), secrets.randbits(80))


def repeated_id(at: datetime, seed: str) -> str:
    """Make the id that the same seed at the same time always makes, and no other seed does."""
    random = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:10])
    return _uuid7(int(at.timestamp() * 1000), random)


def stamp(moment: datetime) -> str:
    """Write a time so that text order is time order: RFC 3339, UTC, microseconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment(text: str | None) -> datetime | None:
    """Read what :func:`stamp` wrote."""
    return None if text is None else datetime.fromisoformat(text)


def promotion_row(promotion: Promotion) -> dict[str, Any]:
    """Write a promotion as the columns of its row."""
    row: dict[str, Any] = {name: getattr(promotion, name) for name in (*_SAME, *_FOUND)}
    row |= {name: _text(getattr(promotion, name)) for name in (*_IMAGES, *_DIGESTS)}
    return row | {
        "kind": promotion.kind.value,
        "phase": promotion.phase.value,
        "model_name": promotion.model.name,
        "model_version": promotion.model.version,
        "workspace": promotion.model.workspace,
        "plan": _PLAN.dump_python(promotion.plan, mode="json"),
        "trigger": _TRIGGER.dump_python(promotion.trigger, mode="json"),
        "waiting": waiting_column(promotion.waiting),
        "created_at": stamp(promotion.created_at),
        "started_at": None if promotion.started_at is None else stamp(promotion.started_at),
        "ended_at": None if promotion.ended_at is None else stamp(promotion.ended_at),
    }


def promotion_of(row: sa.RowMapping) -> Promotion:
    """Read a promotion from its row."""
    columns: dict[str, Any] = {name: row[name] for name in (*_SAME, *_FOUND)}
    columns |= {name: row[name] and ImageRef.parse(row[name]) for name in _IMAGES}
    columns |= {name: row[name] and Digest(row[name]) for name in _DIGESTS}
    return Promotion(
        **columns,
        kind=Kind(row["kind"]),
        phase=Phase(row["phase"]),
        model=ModelVersion(row["model_name"], row["model_version"], row["workspace"]),
        plan=_PLAN.validate_python(row["plan"]),
        trigger=_TRIGGER.validate_python(row["trigger"]),
        waiting=None if row["waiting"] is None else _WAITING.validate_python(row["waiting"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        started_at=moment(row["started_at"]),
        ended_at=moment(row["ended_at"]),
    )


def changed_columns(changes: dict[str, Any]) -> dict[str, Any]:
    """Write changed fields of a promotion as columns."""
    return {name: _column(value) for name, value in changes.items()}


def waiting_column(waiting: Waiting | None) -> dict[str, Any] | None:
    """Write what a promotion waits for as its JSON column."""
    return None if waiting is None else _WAITING.dump_python(waiting, mode="json")


def delivery_row(delivery: AliasDelivery) -> dict[str, Any]:
    """Write a delivery as the columns of its row."""
    return asdict(delivery) | {
        "received_at": stamp(delivery.received_at),
        "action": delivery.action.value,
        "services": list(delivery.services),
        "outcome": delivery.outcome and delivery.outcome.value,
    }


def delivery_of(row: sa.RowMapping) -> AliasDelivery:
    """Read a delivery from its row."""
    return AliasDelivery(
        id=row["id"],
        action=AliasAction(row["action"]),
        model=row["model"],
        alias=row["alias"],
        version=row["version"],
        workspace=row["workspace"],
        received_at=datetime.fromisoformat(row["received_at"]),
        services=tuple(row["services"]),
        outcome=row["outcome"] and Outcome(row["outcome"]),
        promotion=row["promotion"],
    )


def _uuid7(milliseconds: int, random: int) -> str:
    value = milliseconds << 80 | random
    value = value & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))


def _column(value: object) -> object:
    if isinstance(value, datetime):
        return stamp(value)
    if isinstance(value, Waiting):
        return waiting_column(value)
    if isinstance(value, Phase):
        return value.value
    if isinstance(value, ImageRef | Digest):
        return str(value)
    return value


def _text(value: object) -> str | None:
    return None if value is None else str(value)
