"""What the receiver is told at its start, as one frozen value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from pipeline.domain.plan import Plan


class Role(IntEnum):
    """What a token's bearer may do; each role may do what those below it may."""

    READER = 1
    OPERATOR = 2


@dataclass(frozen=True, slots=True)
class Token:
    """One bearer token: whom it names and the SHA-256 of its text in hex, never the text."""

    actor: str
    sha256: str
    role: Role


def _utc() -> datetime:
    return datetime.now(UTC)


def _nobody() -> None:
    """Wake nobody: the worker lives in another process and polls."""


@dataclass(frozen=True, slots=True)
class ReceiverConfig:
    """How this receiver authenticates, what it watches and whom it wakes.

    Parameters
    ----------
    services
        Each service's settings by its name.
    secrets
        Reads the webhook's secrets in use, each as MLflow's owner typed it; asked for every
        delivery, so that a rotated file counts at once.
    tokens
        Who may call the API.
    allowed_hosts
        Names that the Host header may carry, without port, lower-case (DNS rebinding).
    target
        The serving target's word, ``local`` or ``kserve``, shown with each service.
    tolerance
        How far a delivery's time may be from ours.
    now
        The time of day, UTC.
    wake
        Called after each commit of deliveries or promotions, so that a worker in this process
        looks at once.

    """

    services: Mapping[str, Plan]
    secrets: Callable[[], Sequence[bytes]]
    tokens: tuple[Token, ...]
    allowed_hosts: frozenset[str]
    target: str = "local"
    tolerance: timedelta = timedelta(minutes=10)
    now: Callable[[], datetime] = _utc
    wake: Callable[[], None] = _nobody
