"""What the receiver is told at its start, as one frozen value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pipeline.domain.access import Caller, Denied
from pipeline.domain.admission import Rules
from pipeline.domain.approval_link import ApprovalLink
from pipeline.domain.plan import Plan


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token that the settings name: whose, and the SHA-256 of its text, never the text."""

    caller: Caller
    sha256: str


@dataclass(frozen=True, slots=True)
class Links:
    """How this Laurel writes the links by which people approve.

    Parameters
    ----------
    url
        Where people reach it.
    key
        Reads what links are sealed with; ``None`` while there was never any.
    made_key
        The same, made where there is none.

    """

    url: str
    key: Callable[[], bytes | None]
    made_key: Callable[[], bytes]

    def address(self, link: ApprovalLink, key: bytes) -> str:
        """Write a link out."""
        return f"{self.url.rstrip('/')}/approve/{link.sealed(key)}"


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
    rollback_secrets
        The same of those with which others sign rollbacks; none: nobody may.
    tokens
        Who may call the API, beside those whose tokens the ledger has.
    allowed_hosts
        Names that the Host header may carry, without port, lower-case (DNS rebinding).
    vouched
        Tells who calls with a token of an OIDC issuer; it may take a while. ``None``: nobody does.
    rules
        How long an approval counts.
    links
        How links to approve by are written and read; ``None``: nobody gets one.
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
    vouched: Callable[[str], Caller | Denied] | None = None
    rollback_secrets: Callable[[], Sequence[bytes]] = tuple
    rules: Rules = field(default_factory=Rules)
    links: Links | None = None
    target: str = "local"
    tolerance: timedelta = timedelta(minutes=10)
    now: Callable[[], datetime] = _utc
    wake: Callable[[], None] = _nobody
