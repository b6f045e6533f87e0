"""Which images may go: a rule over what services serve, served and may ask for again.

An image goes only where every reason to keep it is known not to hold. What could not be read, what
is not known to be Laurel's, and what has an unknown age stays.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Phase, Promotion
from pipeline.domain.references import ImageRef, ModelVersion
from pipeline.domain.rollback import within_reach
from pipeline.domain.serving import Hold, ServiceState

YOUNG = timedelta(days=1)
"""An image that is younger stays: whoever made it may not have said yet what for."""
_ANY = 0  # as a model version: whichever the alias names


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """All that is known of one service.

    ``history`` is its promotions, newest first; ``states`` is what it serves, as observed now and
    as last written down; ``plan`` is ``None`` for one that laurel.yaml does not list any more.
    """

    name: str
    history: Sequence[Promotion] = ()
    states: tuple[ServiceState, ...] = ()
    hold: Hold | None = None
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """What must stay, each with the reason that a person reads.

    Parameters
    ----------
    images
        By reference.
    versions
        Every image of a model version; version 0 means every version of the model.
    unread
        Whole repositories of which, or of whose services, something could not be read.

    """

    images: dict[ImageRef, str] = field(default_factory=dict)
    versions: dict[ModelVersion, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)

    def why(self, image: ImageRef, model: ModelVersion) -> str | None:
        """Say why an image of this model version is needed; ``None`` where nothing needs it."""
        return (
            self.unread.get(image.repository)
            or self.images.get(image)
            or self.versions.get(model)
            or self.versions.get(replace(model, version=_ANY))
        )


@dataclass(frozen=True, slots=True)
class StoredImage:
    """An image in a registry, as far as it was looked at.

    Parameters
    ----------
    model
        The version that it says it is of; ``None`` where it is none of Laurel's.
    since
        When it came, at the latest; ``None`` where nobody knows.
    strange
        Why it may be somebody else's, or wanted by somebody else; ``""`` where nothing says so.

    """

    ref: ImageRef
    model: ModelVersion | None = None
    since: datetime | None = None
    strange: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether an image goes, and why, for a person."""

    image: StoredImage
    goes: bool
    why: str


def needs_of(services: Iterable[ServiceRecord], keep: int) -> Needs:
    """List what services need; ``keep`` is how many images each may go back by."""
    needs = Needs()
    for service in services:
        _serving(service, needs)
        _running(service, needs)
        _reachable(service, keep, needs)
        _held(service, needs)
    return needs


def judge(image: StoredImage, needs: Needs, now: datetime) -> Judged:
    """Say whether an image goes."""
    kept = _kept(image, needs, now)
    if kept is not None:
        return Judged(image, goes=False, why=kept)
    return Judged(image, goes=True, why="no service, history, hold or promotion needs it")


def _kept(image: StoredImage, needs: Needs, now: datetime) -> str | None:
    if image.model is None:
        return needs.unread.get(image.ref.repository) or "Laurel did not build it"
    needed = needs.why(image.ref, image.model)
    if needed is not None:
        return needed
    if image.strange:
        return image.strange
    if image.since is None:
        return "nobody knows how old it is"
    if now - image.since < YOUNG:
        return "it is younger than a day"
    return None


def _serving(service: ServiceRecord, needs: Needs) -> None:
    for state in service.states:
        for revision in (state.stable, state.canary):
            if revision is not None:
                needs.images[revision.image] = f"{service.name} serves it"


def _running(service: ServiceRecord, needs: Needs) -> None:
    """Keep what promotions that have not ended work with, or may be about to recall."""
    for promotion in service.history:
        if not promotion.phase.ended:
            why = f"promotion {promotion.id} of {service.name} has not ended"
            _keep(needs, promotion, why)
            needs.versions.setdefault(promotion.model, why)


def _reachable(service: ServiceRecord, keep: int, needs: Needs) -> None:
    for image in within_reach(service.history, keep):
        needs.images.setdefault(image, f"one of the last {keep} that {service.name} served")
    for promotion in service.history[:keep]:
        if promotion.phase.ended and promotion.phase is not Phase.SUCCEEDED:
            _keep(needs, promotion, f"promotion {promotion.id} of {service.name} may be retried")


def _held(service: ServiceRecord, needs: Needs) -> None:
    if service.hold is None or service.hold.alias_version is None:
        return
    why = f"the hold of {service.name} refers to its version"
    for name, workspace in _models(service):
        needs.versions.setdefault(ModelVersion(name, service.hold.alias_version, workspace), why)


def _models(service: ServiceRecord) -> set[tuple[str, str]]:
    """Name the models that a service's alias may be of: settings change, a hold does not."""
    named = {(each.model.name, each.model.workspace) for each in service.history}
    return named | ({(service.plan.model, service.plan.workspace)} if service.plan else set())


def _keep(needs: Needs, promotion: Promotion, why: str) -> None:
    for image in (promotion.image, promotion.target, promotion.previous_image):
        if image is not None:
            needs.images.setdefault(image, why)
