"""What a webhook delivery says about an alias: a hint, never the record (law 1)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class AliasAction(StrEnum):
    """MLflow's two alias events."""

    CREATED = "created"
    DELETED = "deleted"


class Outcome(StrEnum):
    """What became of a delivery, once the reconciler has read the alias itself."""

    PROMOTED = "promoted"
    COALESCED = "coalesced"
    NOTHING_NEW = "nothing_new"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class AliasDelivery:
    """One authenticated alias event and the services that it wakes.

    ``version`` is the caller's text made a number, ``None`` for a deletion; ``workspace`` is what
    the body names, which MLflow can get wrong: the reconciler reads in its own workspace (§8.1).
    """

    id: str
    action: AliasAction
    model: str
    alias: str
    version: int | None
    workspace: str
    received_at: datetime
    services: tuple[str, ...]
    outcome: Outcome | None = None
    promotion: str | None = None
