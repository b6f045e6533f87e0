"""What an alias that was just read asks for: the rules of interfaces §8.1-8.6 and §8.10, pure.

The reconciler reads the world, asks :func:`decide`, and carries the answer out.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pipeline.domain.delivery import AliasAction, AliasDelivery, Outcome
from pipeline.domain.promotion import Phase, Promotion
from pipeline.domain.serving import Hold

_UNREAD = 0
"""The version of a request by alias until its promotion has read it."""
NOTHING = 0
"""What a hold remembers where the alias named no version when it was set."""
FROM_ALIAS_PATIENCE = timedelta(seconds=30)
"""How long a missing ``from_alias`` is waited for: MLflow's page sends both changes at once."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A service's alias as read just now, and what is remembered about it.

    ``version`` is what the alias names, ``None`` where it is gone since ``gone_since``;
    ``attempted`` is the service's newest promotion, ``newest`` the same or a later rollback;
    ``deliveries`` are those not answered yet;
    ``challenged`` tells whether the version held ``from_alias`` at any time (or none is asked for),
    ``first_seen`` since when this version has been waiting for it.
    """

    now: datetime
    poll: timedelta
    version: int | None
    attempted: Promotion | None
    newest: Promotion | None
    hold: Hold | None
    deliveries: tuple[AliasDelivery, ...]
    challenged: bool
    gone_since: datetime | None
    first_seen: datetime


@dataclass(frozen=True, slots=True)
class Promote:
    """Start a promotion of this version."""

    version: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """Record a failed promotion of this version, so that the same answer is not sought again."""

    version: int
    reason: str


@dataclass(frozen=True, slots=True)
class Settle:
    """Start nothing; the deliveries have their answer."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Remember:
    """Start nothing; write into the hold which version the alias named when it was set."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again soon; nothing is settled."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The alias is gone: end the running promotion and put traffic back (§8.5)."""

    promotion: Promotion
    reason: str


Decision = Promote | Refuse | Settle | Remember | Wait | Withdraw


def decide(seen: Reading, alias: str, from_alias: str | None) -> Decision:
    """Say what an alias asks for.

    Parameters
    ----------
    seen
        The alias as read now, and what the ledger remembers.
    alias, from_alias
        Their names, for the sentence that a person gets.

    """
    if seen.version is None:
        return _gone(seen, alias)
    if seen.hold is not None:
        return _held(seen, seen.hold, seen.version, alias, from_alias)
    return _compare(seen, seen.version, alias, from_alias)


def ends(hold: Hold | None, version: int | None) -> bool:
    """Tell whether an alias that names this version ends a hold: any other than when it was set."""
    return hold is not None and version is not None and hold.alias_version not in {None, version}


def _gone(seen: Reading, alias: str) -> Decision:
    running, hold = seen.attempted, seen.hold
    gone = seen.gone_since is not None and seen.now - seen.gone_since >= seen.poll
    if running is not None and not running.phase.ended and running.alias == alias:
        removed = f"@{alias} was removed from {running.model.name}"
        return Withdraw(running, removed) if gone else Wait()
    if gone and hold is not None and hold.alias_version is None:
        return Remember(replace(hold, alias_version=NOTHING))
    return Settle(Outcome.NOTHING_NEW)


def _held(seen: Reading, hold: Hold, version: int, alias: str, from_alias: str | None) -> Decision:
    if hold.alias_version is None:
        return Remember(replace(hold, alias_version=version))
    if hold.alias_version == version:
        return Settle(Outcome.HELD)
    return _compare(seen, version, alias, from_alias)


def _compare(seen: Reading, version: int, alias: str, from_alias: str | None) -> Decision:
    attempted = seen.attempted
    if attempted is not None and _about_to_tell(attempted, seen.hold, alias):
        return Settle(Outcome.COALESCED)
    if attempted is not None and attempted.model.version == version:
        if not attempted.phase.ended:
            return Settle(Outcome.COALESCED)
        if not _wanted_anew(seen, attempted, alias):
            return Settle(Outcome.NOTHING_NEW)
    if seen.challenged:
        return Promote(version)
    if seen.now - seen.first_seen < FROM_ALIAS_PATIENCE:
        return Wait()
    return Refuse(
        version,
        f"version {version} never held @{from_alias}: "
        f"put @{from_alias} on version {version}, then @{alias} again",
    )


def _about_to_tell(attempted: Promotion, hold: Hold | None, alias: str) -> bool:
    """Whether a person's promotion has yet to read the alias, and hold the service against it."""
    unread = attempted.model.version == _UNREAD
    unheld = attempted.alias != alias and attempted.source is None and hold is None
    return not attempted.phase.ended and (unread or unheld)


def _wanted_anew(seen: Reading, attempted: Promotion, alias: str) -> bool:
    """Whether a version is wanted once more, though its last attempt has ended (§8.2).

    It is where a delivery has set it anew since, and nothing serves it; and where the attempt ended
    because the alias was elsewhere for a moment, which is no answer.
    """
    last = seen.newest or attempted
    if last.id == attempted.id and attempted.phase in {Phase.SUPERSEDED, Phase.SUCCEEDED}:
        return attempted.phase is Phase.SUPERSEDED
    return any(
        delivery.action is AliasAction.CREATED
        and (delivery.alias, delivery.version) == (alias, attempted.model.version)
        and delivery.received_at > last.created_at
        for delivery in seen.deliveries
    )
