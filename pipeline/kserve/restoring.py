"""Giving stable everything back, from whatever state a service is in."""

import time

from pipeline.errors import ConflictError, UnavailableError
from pipeline.kserve import patches
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.json_patch import Json
from pipeline.kserve.memory import standing
from pipeline.kserve.readiness import judged
from pipeline.kserve.recovery import Act, Sight, asked, decide, runs_stable
from pipeline.kserve.refusals import obstacle, refusal
from pipeline.kserve.service import Service

RESTORED_WITHIN = 120.0
"""Seconds that one call waits for a fresh revision of stable; who calls it calls again."""
SURE_AFTER = 15.0
"""Seconds that KServe must have been refused everything until nothing of it can still come."""
BRAKED_AFTER = 3.0
"""Seconds that it must have been so until Laurel does for KServe what cannot wait."""
_LOOK_AGAIN = 5.0
"""Seconds after which everything is looked at anew: not all of it stands on what is watched."""


def restore(service: Service, sequence: int) -> None:
    """Ask for stable's image, wait until a revision of it can take everything, and clean up.

    Raises
    ------
    UnavailableError
        Where that is not so in time; stable's traffic stays where it is meanwhile.

    """
    refused = Refused(service)

    def step(now: InferenceService | None) -> bool | None:
        if now is None or not now.ours:
            return True
        service.admit(now, sequence)
        try:
            return None if now.leaving else act(service, sight(service, now, refused), sequence)
        except ConflictError:  # it changed: the watch brings it as it is now
            return None

    end = time.monotonic() + RESTORED_WITHIN
    while (left := end - time.monotonic()) > 0:
        if service.until(step, seconds=min(left, _LOOK_AGAIN)):
            return
    raise UnavailableError(
        "give stable everything back", service.name, f"{_why(service)}; look again"
    )


def act(service: Service, seen: Sight, sequence: int) -> bool | None:
    """Take the next step; true where there is none left."""
    now = seen.now
    match decide(seen):
        case Act.DONE:
            if now.shielded and now.sequence < sequence:  # older promotions have lost it from now
                service.patch(patches.cleaned(now, sequence))
            return True
        case Act.WAIT:
            pass
        case Act.REMOVE:
            service.remove()
        case Act.REPAIR:
            service.patch_status(patches.repaired(now, seen.standing))
        case Act.DEFEND:
            service.patch_status(patches.defended(now))
        case Act.BRAKE:
            service.brake(now.rolled_out)
        case asking:
            service.patch(_asked(now, asking, sequence))
    return None


def _asked(now: InferenceService, asking: Act, sequence: int) -> list[Json]:
    """Write the patch that asks KServe for something else."""
    if asking is Act.RETREAT:
        return patches.stepped(now, 0, sequence)
    if asking is Act.AGAIN:
        return patches.again(now, sequence)
    if asking is Act.CLEAN:
        return patches.cleaned(now, sequence)
    return patches.aborted(now, sequence, removing=asking is Act.WITHDRAW)


class Refused:
    """Whether KServe is refused whatever it asks Knative for, as long as somebody looks.

    A quota with no room for one more pod refuses every change, also that of a percent: KServe tries
    each out first, and Knative tries a pod out for that. It is believed only when it has lasted:
    KServe may be in the middle of something that was asked for before.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._since: float | None = None
        self._untouched_since: float | None = None

    def look(self, now: InferenceService) -> None:
        """Take note of one more look."""
        self._since = (self._since or time.monotonic()) if refusal(now) else None

    def lasts(self, now: InferenceService) -> bool:
        """Tell whether Knative's service was that of stable alone all the while.

        Then asking for just that asks for nothing.
        """
        if self._since is None or not self._service.untouched(now):
            self._untouched_since = None
            return False
        self._untouched_since = self._untouched_since or time.monotonic()
        return time.monotonic() - self._untouched_since >= SURE_AFTER

    def keeps(self, now: InferenceService) -> bool:
        """Tell whether Knative still names the canary, whose share and pods nobody takes then."""
        if self._since is None or time.monotonic() - self._since < BRAKED_AFTER:
            return False
        found = self._service.knative()
        if found is None or not found.floating:
            return False
        return not runs_stable(now, self._service.image(found.ready))


def sight(service: Service, now: InferenceService, refused: Refused) -> Sight:
    """Read what decides of a service's revisions, and no more than that."""
    refused.look(now)
    created = service.image(now.created) if now.created else ""
    rolled_out = service.image(now.rolled_out) if now.rolled_out else ""
    ending = asked(now) and now.percent is not None and now.created == now.ready
    return Sight(
        now=now,
        created=created,
        rolled_out=rolled_out,
        able=ending and now.created != now.rolled_out and _able(service, now),
        standing=standing(service, now),
        strange=any(
            not runs_stable(now, service.image(name))
            for name, share in now.shares().items()
            if share
        ),
        final=ending
        and now.created == now.rolled_out
        and (service.final(now) or refused.lasts(now)),
        given_up=_given_up(service, now, created),
        kept=asked(now) and now.percent == 0 and refused.keeps(now),
    )


def _given_up(service: Service, now: InferenceService, created: str) -> bool:
    """Tell whether a fresh revision of stable is there and will never be ready."""
    if not asked(now) or now.percent is None or not runs_stable(now, created):
        return False
    found = None if now.created == now.ready else service.revision(now.created)
    return found is not None and found.given_up


def _able(service: Service, now: InferenceService) -> bool:
    found = service.revision(now.created)
    return found is not None and (found.warm(now.need) or (found.asleep and not now.min_replicas))


def _why(service: Service) -> str:
    now = service.read()
    if now is None:
        return "it is there no more"
    if said := obstacle(now):
        return said
    found = service.revision(now.created)
    detail = judged(service, now, found)[1] if found is not None else ""
    return f"a fresh revision of stable is not ready: {detail or 'its traffic is not routed yet'}"
