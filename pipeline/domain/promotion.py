"""One request to roll a model version out, and where it stands."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.domain.plan import Plan
from pipeline.domain.references import Digest, ImageRef, ModelVersion


class Phase(StrEnum):
    """Where a promotion stands; the words and their meanings are Kargo's."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self not in {Phase.PENDING, Phase.RUNNING}


class Kind(StrEnum):
    """A promotion bakes what is new; a rollback returns to a digest that was served before."""

    PROMOTION = "promotion"
    ROLLBACK = "rollback"


class TriggerKind(StrEnum):
    """Who asked."""

    WEBHOOK = "webhook"
    RECONCILER = "reconciler"
    API = "api"
    CLI = "cli"
    GITHUB = "github"
    ROLLBACK = "rollback"

    @property
    def automatic(self) -> bool:
        """Whether no person asked for this version by name: an alias did."""
        return self in {TriggerKind.WEBHOOK, TriggerKind.RECONCILER}


@dataclass(frozen=True, slots=True)
class Trigger:
    """Why a promotion exists: who asked, by which delivery, when."""

    kind: TriggerKind
    actor: str
    at: datetime
    delivery_id: str | None = None


class ControlKind(StrEnum):
    """A decision about a running promotion; always a ledger row (law 8)."""

    ABORT = "abort"
    SUPERSEDE = "supersede"
    PAUSE = "pause"
    RESUME = "resume"
    COMPLETE = "complete"

    @property
    def ends(self) -> bool:
        """Whether it ends the promotion early."""
        return self in {ControlKind.ABORT, ControlKind.SUPERSEDE}


@dataclass(frozen=True, slots=True)
class Control:
    """One decision about a promotion, by a person or by a newer promotion."""

    kind: ControlKind
    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Steering:
    """How people steer a promotion now: who keeps it where it is, who wants it to end well."""

    paused: Control | None = None
    completed: Control | None = None

    def after(self, control: Control) -> "Steering":
        """Take in the decision that was made next."""
        match control.kind:
            case ControlKind.PAUSE:
                return Steering(control, self.completed)
            case ControlKind.RESUME:
                return Steering(None, self.completed)
            case ControlKind.COMPLETE:
                return Steering(None, control)
            case _:
                return self


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a promotion waits for: ``traffic``, ``mlflow``, ``approval``, …, and since when."""

    for_: str
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Promotion:
    """One promotion as the ledger records it (interfaces §5).

    ``sequence`` counts per service and is never reused. ``attempt`` counts how often a worker took
    it up from the start. ``target`` is the image that a rollback returns to, or that was built
    elsewhere and is to be promoted as it is.

    ``model.version`` is 0 only while nobody has looked yet: in a request by alias, where it means
    whatever the alias names when the promotion starts, and for an image of which nobody has read
    yet what it holds.
    """

    id: str
    sequence: int
    service: str
    kind: Kind
    phase: Phase
    plan: Plan
    model: ModelVersion
    trigger: Trigger
    created_at: datetime
    alias: str | None = None
    attempt: int = 1
    rebuild: bool = False
    target: ImageRef | None = None
    retry_of: str | None = None
    reason: str = ""
    run_id: str | None = None
    model_id: str | None = None
    source: str | None = None
    image: ImageRef | None = None
    previous_image: ImageRef | None = None
    artifact_digest: Digest | None = None
    lock_digest: Digest | None = None
    base_digest: Digest | None = None
    key_id: str | None = None
    waiting: Waiting | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
