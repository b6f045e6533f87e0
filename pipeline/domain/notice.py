"""What people outside are told of: the topics they may ask for, and one notice."""

from dataclasses import dataclass
from enum import StrEnum

from pipeline.domain.promotion import Trigger
from pipeline.domain.references import ImageRef, ModelVersion


class Topic(StrEnum):
    """What a notice is about; a channel names those that it wants."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"
    ABORTED = "aborted"
    SUPERSEDED = "superseded"
    ROLLED_BACK = "rolled_back"
    HELD = "held"
    RELEASED = "released"
    DRIFT = "drift"
    APPROVAL = "approval"
    ATTENTION = "attention"


class Urgency(StrEnum):
    """How loud a notice is; the words are apprise's."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class About:
    """The promotion that a notice is about, as it stood when the notice was written."""

    promotion: str
    kind: str
    phase: str
    model: ModelVersion
    asked: Trigger
    image: ImageRef | None
    previous_image: ImageRef | None


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that people are told: of which service, what happened, how urgent it is.

    ``id`` is the hash of the history's entry that it tells of, the same however often it is sent.
    ``type`` says in two words what it is, for programs: ``promotion.failed``. ``sentence`` holds
    what others wrote too, a person's reason or a model's last words.
    """

    id: str
    type: str
    service: str
    at: str
    title: str
    sentence: str
    urgency: Urgency
    topics: tuple[Topic, ...]
    link: str
    about: About | None = None
