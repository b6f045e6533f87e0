"""What a service's history says of its fate: accepted, ended, controlled, held, released.

Told in the transaction that writes the row itself, so that the record and its history never differ.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from pipeline.domain.admission import Approval
from pipeline.domain.chain import fingerprint
from pipeline.domain.promotion import Control, Promotion
from pipeline.domain.references import Digest
from pipeline.domain.serving import Hold
from pipeline.ledger.history import tell
from pipeline.ledger.rows import promotion_row

ACCEPTED, ENDED, CONTROLLED = "accepted", "ended", "controlled"
HELD, RELEASED = "held", "released"
INVITED, APPROVED, ADMITTED = "invited", "approved", "admitted"

_ASKED = ("kind", "sequence", "alias", "trigger", "reason", "target", "retry_of", "rebuild")
_CAME_OF_IT = ("kind", "sequence", "phase", "reason", "image", "previous_image")
_EVIDENCE = ("artifact_digest", "lock_digest", "base_digest", "key_id")


def tell_accepted(connection: sa.Connection, promotion: Promotion) -> None:
    """Tell what was asked for, by whom, under which settings."""
    row = promotion_row(promotion)
    data = {
        "model": _model(promotion),
        **{name: row[name] for name in _ASKED},
        "plan": fingerprint(row["plan"]),
    }
    _tell(connection, promotion, promotion.created_at, ACCEPTED, data)


def tell_ended(connection: sa.Connection, promotion: Promotion) -> None:
    """Tell how it ended, and the digests of what it rests on."""
    row = promotion_row(promotion)
    data = {
        "model": _model(promotion),
        **{name: row[name] for name in (*_CAME_OF_IT, *_EVIDENCE)},
    }
    _tell(connection, promotion, promotion.ended_at or promotion.created_at, ENDED, data)


def tell_controlled(connection: sa.Connection, promotion: Promotion, control: Control) -> None:
    """Tell a decision about a promotion."""
    data = {
        "control": control.kind.value,
        "actor": control.actor,
        "reason": control.reason,
    }
    _tell(connection, promotion, control.at, CONTROLLED, data)


def tell_invited(
    connection: sa.Connection,
    promotion: Promotion,
    actor: str,
    *,
    by: str | None,
    at: datetime,
    until: datetime,
) -> None:
    """Tell who may approve by a link, until when, and who made it."""
    image = "" if promotion.image is None else promotion.image.digest.value
    data = {"actor": actor, "by": by, "image": image, "until": until.isoformat()}
    _tell(connection, promotion, at, INVITED, data)


def tell_approved(
    connection: sa.Connection, promotion: Promotion, approval: Approval, link: str | None
) -> None:
    """Tell who agreed to which image, and by which link if by one."""
    data = {
        "actor": approval.actor,
        "comment": approval.comment,
        "image": approval.image.value,
        "needed": promotion.plan.approvals,
        "by": "token" if link is None else "link",
    }
    _tell(connection, promotion, approval.at, APPROVED, data)


def tell_admitted(
    connection: sa.Connection,
    promotion: Promotion,
    image: Digest,
    approvals: Iterable[Approval],
    at: datetime,
) -> None:
    """Tell that it may have traffic, and on whose word."""
    data = {"image": image.value, "approved_by": [approval.actor for approval in approvals]}
    _tell(connection, promotion, at, ADMITTED, data)


def tell_held(connection: sa.Connection, service: str, hold: Hold) -> None:
    """Tell that automation may not change a service, and who says so."""
    data = {"actor": hold.actor, "reason": hold.reason, "alias_version": hold.alias_version}
    tell(connection, service, hold.at, HELD, data)


def tell_released(
    connection: sa.Connection, service: str, at: datetime, actor: str, reason: str
) -> None:
    """Tell that automation may change it again."""
    tell(connection, service, at, RELEASED, {"actor": actor, "reason": reason})


def _model(promotion: Promotion) -> dict[str, Any]:
    model = promotion.model
    return {"name": model.name, "version": model.version or None, "workspace": model.workspace}


def _tell(
    connection: sa.Connection, promotion: Promotion, at: datetime, kind: str, data: dict[str, Any]
) -> None:
    tell(connection, promotion.service, at, kind, data, promotion.id)
