"""What a promotion waits for before traffic: people who agree, an end of a freeze or hold, a place.

Values and rules only; who asks again and again is ``pipeline.steps.admit``, who remembers is the
ledger.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipeline.domain.promotion import Control
from pipeline.domain.references import Digest

APPROVAL, FREEZE, CANARIES, RESUME = "approval", "freeze", "canaries", "resume"
RELEASE = "release"
"""What is waited for, as everybody reads it."""
LASTS = timedelta(days=7)
"""How long an approval counts, and is waited for, where the settings do not say."""

_REPOSITORY = re.compile(r" \([^()]*\)\Z")


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody agrees to one image, and to no other."""

    actor: str
    image: Digest
    comment: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Frozen:
    """A window in which a service begins no canary and raises none."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Limits:
    """How many canaries there may be at once: everywhere, and in one namespace; ``None``: any."""

    canaries: int | None = None
    per_namespace: int | None = None

    def fit(self, taken: Sequence[str], namespace: str) -> bool:
        """Tell whether one more fits into a namespace beside those of these namespaces."""
        if self.canaries is not None and len(taken) >= self.canaries:
            return False
        return self.per_namespace is None or taken.count(namespace) < self.per_namespace


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for every service alike; how many must agree, each service says itself."""

    lasts: timedelta = LASTS
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Admitted:
    """It may go on, on the word of those who approved."""

    approvals: tuple[Approval, ...] = ()


@dataclass(frozen=True, slots=True)
class Wait:
    """It may not go on yet: what for, till when if that is known, and the sentence for people."""

    for_: str
    why: str
    until: datetime | None = None


Admission = Admitted | Wait | Control
"""What is answered to who asks to be let in; a control where a decision was faster."""


def person(actor: str) -> str:
    """Name the person behind an actor: on GitHub the same one in every repository."""
    name = _REPOSITORY.sub("", actor) if actor.startswith("github:") else actor
    return name.casefold()


def standing(
    approvals: Iterable[Approval],
    *,
    image: Digest,
    requester: str,
    now: datetime,
    lasts: timedelta,
) -> tuple[Approval, ...]:
    """List the approvals that count, one a person, the oldest first.

    Those of another image do not, nor those that are too old, nor any of who asked for it.
    """
    counting: dict[str, Approval] = {}
    for approval in sorted(approvals, key=lambda each: each.at):
        who = person(approval.actor)
        fresh = now - approval.at < lasts
        if fresh and approval.image == image and who != person(requester):
            counting.setdefault(who, approval)
    return tuple(counting.values())


def in_turn(
    limits: Limits, taken: Sequence[str], waiting: Iterable[tuple[str, str]], who: str
) -> bool:
    """Tell whether ``who`` of those who wait, the oldest first, may have a place now.

    ``taken`` has the namespace of each place that is held, ``waiting`` id and namespace of each
    that waits. Whoever waits for a namespace that is full keeps nobody of another one waiting.
    """
    held = list(taken)
    for each, namespace in waiting:
        if limits.fit(held, namespace):
            if each == who:
                return True
            held.append(namespace)
    return False
