"""Starting a revision of an image at 0 %, or finding the one that is there already.

Every way through begins with what stands on the cluster, so that a call that is repeated after a
crash goes on where the first one was, and makes no second revision.
"""

from pipeline.domain.evidence import Refused, VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.errors import RejectedError, UnavailableError
from pipeline.kserve import patches
from pipeline.kserve.adoption import adoption
from pipeline.kserve.drift import undisturbed
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.memory import keep_memory
from pipeline.kserve.patches import Wanted
from pipeline.kserve.refusals import obstacle, refusal
from pipeline.kserve.restoring import restore
from pipeline.kserve.revisions import Revision
from pipeline.kserve.service import Service
from pipeline.kserve.spec import changed, created

MADE_WITHIN = 30.0
"""Seconds that KServe and Knative may take until a revision exists; its pods are not meant."""


def deploy(
    service: Service, plan: Plan, image: VerifiedImage, sequence: int, *, at_once: bool
) -> str:
    """Start a revision of this image at 0 %, or find the one that runs; its name."""
    now = service.settled_in()
    wanted = Wanted(str(image.ref), str(image.model), sequence)
    if now is None:
        manifest = created(plan, image, service.cluster.namespace)
        now = service.create(patches.begun(manifest, wanted))
        return await_revision(service, now, wanted)
    service.admit(now, sequence)
    stable = service.revision(now.rolled_out)
    if stable is not None and stable.image == wanted.image and not now.first:
        return _stay(service, now, wanted)
    if at_once and (standing := _standing(service, now, stable, wanted.image)):
        service.patch(patches.announced(now, wanted))
        return standing
    if now.image == wanted.image == now.canary:
        service.patch(patches.announced(now, wanted))
    else:
        defend(service, now, stable)
        _start(service, now, stable, plan, image, wanted)
    return await_revision(service, now, wanted)


def defend(service: Service, now: InferenceService, stable: Revision | None) -> None:
    """Make what KServe could turn traffic back to stable itself, where stable serves (trap 7)."""
    if stable is not None and stable.image == (now.digest or stable.image):
        service.patch_status(patches.defended(now))


def await_revision(service: Service, before: InferenceService, wanted: Wanted) -> str:
    """Wait until a revision of this image exists and no other canary has a share; its name.

    Its image tells, never a generation (trap 5). A refusal that stood there before is believed to
    be of this change only when it still stands at the end.
    """
    stale = refusal(before)

    def made(now: InferenceService | None) -> str | None:
        if now is None:
            raise service.gone("start a revision")
        service.admit(now, wanted.sequence)
        undisturbed(now, wanted.image)
        why = refusal(now)
        if why and why != stale:
            raise RejectedError("start a revision", service.name, why)
        keep_memory(service, now)
        there = runs(service, now.created, wanted.image) and not _others_serve(now)
        return now.created if there else None

    if (found := service.until(made, seconds=MADE_WITHIN)) is not None:
        return found
    now = service.there()
    if why := refusal(now):
        raise RejectedError("start a revision", service.name, why)
    raise UnavailableError(
        "start a revision",
        service.name,
        f"KServe made none in {MADE_WITHIN:g} s ({obstacle(now) or 'it does not say why'}); "
        "look at its controller",
    )


def runs(service: Service, revision: str, image: str) -> bool:
    """Tell whether a revision runs an image, by the revision's own word."""
    return bool(revision) and service.image(revision) == image


def _stay(service: Service, now: InferenceService, wanted: Wanted) -> str:
    """Keep what serves, and end whatever else is in flight."""
    service.patch(patches.recorded(now, wanted))
    if not now.clean or now.image != wanted.image:
        restore(service, wanted.sequence)
        now = service.there()
    return now.rolled_out


def _standing(
    service: Service, now: InferenceService, stable: Revision | None, image: str
) -> str | None:
    """Find a revision of this image that can take everything at once, if nothing is under way."""
    if stable is None or not now.settled or now.percent is not None or now.image != stable.image:
        return None
    others = (one for one in service.revisions() if one.name != stable.name)
    return next((one.name for one in others if one.image == image and one.warm(now.need)), None)


def _start(
    service: Service,
    now: InferenceService,
    stable: Revision | None,
    plan: Plan,
    image: VerifiedImage,
    wanted: Wanted,
) -> None:
    if now.digest or now.first:
        after = changed(now.raw, plan, image)
    else:
        adopted = adoption(now.raw, plan, image)
        if isinstance(adopted, Refused):
            raise RejectedError("take the service over", plan.service, adopted.reason)
        after = adopted.after
    serves = stable.image if stable is not None and now.image == stable.image else ""
    service.patch(patches.started(now, after, wanted, stable=serves))


def _others_serve(now: InferenceService) -> bool:
    """Tell whether a canary that was replaced still has a share."""
    own = {now.rolled_out, now.created}
    return not now.first and any(
        share > 0 and name not in own for name, share in now.shares().items()
    )
