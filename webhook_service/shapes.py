"""Every JSON that the API takes and gives (interfaces §3 and §5)."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from pipeline.domain.references import parse_version

Reason = Annotated[str, StringConstraints(max_length=1000)]
_Version = Annotated[int, BeforeValidator(parse_version)]
_OTHERS = 2  # of three ways to say what is promoted
_Name = Annotated[str, StringConstraints(min_length=1, max_length=500)]


class _Asked(BaseModel):
    """A request's body: a key that nobody knows is an error, not an intention lost."""

    model_config = ConfigDict(extra="forbid", strict=True)


class AskPromotion(_Asked):
    """``POST /promotions``: what an alias move does, by hand.

    ``image`` is the digest of one that `laurel build` made; its service, or its model, says where.
    """

    model: _Name | None = None
    version: _Version | None = None
    alias: _Name | None = None
    image: _Name | None = None
    service: _Name | None = None
    reason: Reason = ""
    rebuild: bool = False

    @model_validator(mode="after")
    def _names_one_thing(self) -> Self:
        if [self.version, self.alias, self.image].count(None) != _OTHERS:
            raise ValueError("give one of version, alias and image")
        if self.model is None and (self.image is None or self.service is None):
            raise ValueError("give the model, or the image and its service")
        if self.image is not None and self.rebuild:
            raise ValueError("give either image or rebuild")
        return self


class AskReason(_Asked):
    """Why somebody decides something: abort, hold."""

    reason: Reason = ""


class AskApproval(_Asked):
    """``POST /promotions/{id}/approve``; ``image`` is the digest that was looked at."""

    image: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}\z")] | None = None
    comment: Reason = ""


class AskLink(_Asked):
    """``POST /promotions/{id}/links``; ``seconds`` is how long it is good for, at most."""

    seconds: Annotated[int, Field(ge=60, le=366 * 86400)] = 86400


class AskRollback(_Asked):
    """``POST /services/{name}/rollback``; ``to`` is a digest, a version or ``-N``.

    ``move_alias`` also moves the alias; without it, laurel.yaml says.
    """

    to: _Name | None = None
    if_serving: _Name | None = None
    reason: Reason = ""
    move_alias: bool | None = None


class CallForRollback(_Asked):
    """``POST /webhooks/rollback``; without ``digest``, to what served before."""

    service: _Name
    digest: _Name | None = None
    if_serving: _Name | None = None
    reason: Reason = ""
    move_alias: bool | None = None


class ModelJson(BaseModel):
    """A model version; ``version`` is null until an alias was read."""

    name: str
    version: int | None
    run_id: str | None
    model_id: str | None
    source: str | None
    alias: str | None
    workspace: str


class TriggerJson(BaseModel):
    """Who asked."""

    kind: str
    actor: str
    delivery_id: str | None
    at: datetime


class StepJson(BaseModel):
    """One step of one promotion."""

    name: str
    phase: str
    attempts: int
    started_at: datetime
    ended_at: datetime | None
    evidence: dict[str, Any]


class CanaryJson(BaseModel):
    """What was last seen at one traffic percent."""

    percent: int
    started_at: datetime
    verdict: str
    samples: dict[str, int]
    metrics: dict[str, Any]


class WaitingJson(BaseModel):
    """What a promotion waits for."""

    for_: str = Field(serialization_alias="for")
    since: datetime
    until: datetime | None


class PromotionJson(BaseModel):
    """A promotion as every list and every tool shows it."""

    id: str
    sequence: int
    kind: str
    phase: str
    reason: str
    service: str
    model: ModelJson
    trigger: TriggerJson
    image: str | None
    previous_image: str | None
    target: str | None
    retry_of: str | None
    artifact_digest: str | None
    lock_digest: str | None
    base_digest: str | None
    key_id: str | None
    steps: list[StepJson]
    canary: list[CanaryJson]
    waiting: WaitingJson | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


class PromotionsJson(BaseModel):
    """Some promotions; ``next`` is the cursor of the following page."""

    items: list[PromotionJson]
    next: str | None = None


class EventJson(BaseModel):
    """One thing that happened to a promotion."""

    id: int
    at: datetime
    kind: str
    data: dict[str, Any]


class EventsJson(BaseModel):
    """A promotion's story, oldest first."""

    items: list[EventJson]
    next: str | None = None


class RevisionJson(BaseModel):
    """A revision as the worker last observed it."""

    image: str
    model_version: int | None
    revision: str
    percent: int


class HoldJson(BaseModel):
    """Why automation leaves a service alone."""

    actor: str
    reason: str
    at: datetime


class ServiceJson(BaseModel):
    """A service: what serves, what holds it, what happened last.

    ``drift`` says what somebody changed by hand since Laurel last wrote it; ``foreign`` what serves
    there that Laurel did not make.
    """

    name: str
    model: str
    alias: str
    target: str
    stable: RevisionJson | None
    canary: RevisionJson | None
    hold: HoldJson | None
    drift: str | None
    foreign: str | None
    promotion: str | None
    url: str | None
    observed_at: datetime | None


class ServicesJson(BaseModel):
    """Every service of laurel.yaml."""

    items: list[ServiceJson]
    next: str | None = None
