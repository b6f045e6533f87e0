"""Who calls, and what they may do: callers, what they were granted, and why one is turned away."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.domain.promotion import TriggerKind
from pipeline.errors import InvalidReferenceError

_TOKEN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}\Z")
_OTHERS = {"laurel", "mlflow", "operator", "reconciler", "somebody"}


class Role(StrEnum):
    """What a caller may do. All may read; none contains another, so that nobody approves alone."""

    READER = "reader"
    APPROVER = "approver"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Grant:
    """Some roles, for some services; ``None`` means all of them."""

    roles: frozenset[Role]
    services: frozenset[str] | None = None

    def allows(self, role: Role, service: str | None) -> bool:
        """Tell whether it is enough for this; without a service, for any service at all."""
        fits = role is Role.READER or role in self.roles
        return fits and (service is None or self.services is None or service in self.services)


@dataclass(frozen=True, slots=True)
class SingleUse:
    """A token that is good for one change only; its ``id`` tells it from others, and no more.

    ``until`` is when it ends by itself, so that nobody need remember it longer.
    """

    id: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """A change that a single-use token was spent on; told again, it is the same change.

    ``at`` is when it was told first.
    """

    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who has proved who they are.

    Parameters
    ----------
    actor
        Whom the record names.
    grants
        What they may do; more than one where several rules fit.
    proof
        How they proved it, as people call it: ``"token ci"``.
    trigger
        What a promotion that they ask for is recorded as started by.
    once
        Set where their token is good for one change only.
    change
        The change that it is being spent on.
    token
        The id of the token, where it is one that Laurel made and can revoke.

    """

    actor: str
    grants: tuple[Grant, ...]
    proof: str
    trigger: TriggerKind = TriggerKind.API
    once: SingleUse | None = None
    change: Change | None = None
    token: str | None = None

    def may(self, role: Role, service: str | None = None) -> bool:
        """Tell whether they may do this to a service; without one, to any service at all."""
        return any(grant.allows(role, service) for grant in self.grants)

    @property
    def bound(self) -> bool:
        """Whether it matters which service they ask about."""
        return any(grant.services is not None for grant in self.grants)

    def services(self, role: Role) -> frozenset[str] | None:
        """Name the services that they may do this to; ``None`` means all."""
        fitting = [grant.services for grant in self.grants if grant.allows(role, None)]
        named = [services for services in fitting if services is not None]
        return None if len(named) < len(fitting) else frozenset().union(*named)

    @property
    def roles(self) -> tuple[Role, ...]:
        """Every role that they have for some service."""
        return in_order(role for grant in self.grants for role in grant.roles)


def require_token_name(name: str) -> str:
    """Return ``name`` if a token may have it: the record names people and programs by it.

    Raises
    ------
    InvalidReferenceError
        For other characters, and for names that the record has for somebody else.

    """
    if not _TOKEN_NAME.match(name) or name in _OTHERS:
        raise InvalidReferenceError(
            f"{name[:80]!r} cannot be a token's name: use letters, digits and . _ @ -, and none of"
            f" {', '.join(sorted(_OTHERS))}"
        )
    return name


def in_order(roles: Iterable[Role]) -> tuple[Role, ...]:
    """List roles without repeats, the weakest first."""
    there = set(roles)
    return tuple(role for role in Role if role in there)


class Denial(StrEnum):
    """Why a call is turned away."""

    UNKNOWN = "unknown"
    """Nobody knows who calls."""
    NOT_ALLOWED = "not allowed"
    """The caller is known, and may not."""
    UNDECIDED = "undecided"
    """It cannot be told now: whoever vouches for the caller does not answer."""


@dataclass(frozen=True, slots=True)
class Denied:
    """A call that is turned away; ``reason`` is one sentence and repeats nothing of the token."""

    why: Denial
    reason: str
