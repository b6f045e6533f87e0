"""Giving the canary a share, or everything: asked for once it is warm, and believed when observed.

Before each raise as many pods are ready as the service has at least, so that no request of a user
meets a cold one; a canary that was scaled to zero is woken through its own address.
"""

from contextlib import suppress

from pipeline.errors import LaurelError, RejectedError, UnavailableError
from pipeline.kserve import patches
from pipeline.kserve.asking import Gateway
from pipeline.kserve.drift import undisturbed
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.memory import keep_memory
from pipeline.kserve.patches import Wanted
from pipeline.kserve.readiness import judged
from pipeline.kserve.refusals import obstacle, refusal
from pipeline.kserve.restoring import restore
from pipeline.kserve.revisions import Revision
from pipeline.kserve.service import Service

WARM_WITHIN = 60.0
"""Seconds that a canary which was ready may take until all of its pods are."""
SEEN_WITHIN = 60.0
"""Seconds that a split may take until the gateway has it."""
_WAKE = 1.0


def shift(service: Service, gateway: Gateway, revision: str, percent: int, sequence: int) -> None:
    """Give the canary this share, and return when it was observed."""
    now, found = admitted(service, revision, sequence)
    if is_stable(now, found):
        return  # it has what the canary leaves, and no percent of its own (trap 1)
    undisturbed(now, found.image)
    if percent == 0 and ignores_percent(found):
        withdraw(service, now, sequence)
        return
    if percent > 0:
        warm(service, gateway, now, found)
    service.patch(patches.stepped(now, percent, sequence))
    observe_split(service, revision, found.image, percent, sequence)


def complete(service: Service, gateway: Gateway, revision: str, sequence: int) -> None:
    """Give the revision everything, and return when it was observed."""
    now, found = admitted(service, revision, sequence)
    if is_stable(now, found):  # done before, or begun: what is left of it is the same
        restore(service, sequence)
        return
    wanted = Wanted(found.image, now.canary_model, sequence)
    if revision != now.created:
        turn_back(service, now, revision, wanted)
        restore(service, sequence)
        return
    undisturbed(now, found.image)
    warm(service, gateway, now, found)
    service.patch(patches.promoted(now, wanted))
    observe_all(service, revision, wanted)


def is_stable(now: InferenceService, found: Revision) -> bool:
    """Tell whether a revision is of what is stable already."""
    return found.image == now.digest


def ignores_percent(found: Revision) -> bool:
    """Tell whether a revision keeps its share whatever is asked for: it is not ready (trap 4)."""
    return not found.ready.true


def turn_back(service: Service, now: InferenceService, revision: str, wanted: Wanted) -> None:
    """Give everything to a revision that served before and still stands: KServe's own rollback."""
    undisturbed(now, now.digest or now.image)
    service.patch_status(patches.aimed(now, revision))
    service.patch(patches.turned_back(service.there(), wanted))

    def seen(after: InferenceService | None) -> bool | None:
        if after is None:
            raise service.gone("give the earlier revision all traffic")
        service.admit(after, wanted.sequence)
        return True if after.serves_alone(revision) else None

    if not service.until(seen, seconds=SEEN_WITHIN):
        raise _unseen(service, f"{revision} has all traffic")


def withdraw(service: Service, now: InferenceService, sequence: int) -> None:
    """Take the share from a canary that crashes, which a percent of 0 does not (trap 4)."""
    service.patch(patches.aborted(now, sequence, removing=False))

    def seen(after: InferenceService | None) -> bool | None:
        if after is None:
            raise service.gone("take the canary's share away")
        service.admit(after, sequence)
        return True if after.splits(after.rolled_out, "", 0) else None

    if not service.until(seen, seconds=SEEN_WITHIN):
        raise _unseen(service, "stable has all traffic")


def admitted(service: Service, revision: str, sequence: int) -> tuple[InferenceService, Revision]:
    """Read the service and its revision, for a promotion that may still change it."""
    now = service.there()
    service.admit(now, sequence)
    return now, service.known(now, revision)


def warm(service: Service, gateway: Gateway, now: InferenceService, found: Revision) -> None:
    """Wait until as many pods are ready as the service has at least, waking a canary at zero.

    A running canary whose pods are not ready is hidden by every condition (trap C): here it stops.
    """
    if found.warm(now.need):
        return
    if found.ready.true and (address := now.address(found.name)):
        with suppress(LaurelError):  # only that somebody asks counts
            gateway.wake(address)
    enough = service.until_revision(
        found.name, lambda one: True if one.warm(now.need) else None, seconds=WARM_WITHIN
    )
    if enough is None:
        latest = service.revision(found.name) or found
        raise RejectedError(
            "give the canary traffic",
            f"{service.name}, {found.name}",
            f"its pods were not ready within {WARM_WITHIN:g} s: {judged(service, now, latest)[1]}",
        )


def observe_split(service: Service, revision: str, image: str, percent: int, sequence: int) -> None:
    """Wait until the gateway splits as asked for, and stable's share is stable's (trap 7).

    A canary that falls over as soon as it has requests is not waited for: whoever judges it must
    look, and no route is ever called ready with it (trap 4).
    """

    def seen(now: InferenceService | None) -> bool | None:
        if now is None:
            raise service.gone("see the canary's share")
        service.admit(now, sequence)
        undisturbed(now, image)
        if why := refusal(now):
            raise RejectedError("see the canary's share", service.name, why)
        if keep_memory(service, now):
            return None
        fell = percent > 0 and fell_over(now)
        return True if fell or now.splits(now.rolled_out, revision, percent) else None

    if not service.until(seen, seconds=SEEN_WITHIN):
        raise _unseen(service, f"{revision} has {percent} %")


def fell_over(now: InferenceService) -> bool:
    """Tell whether the newest revision, which was ready, is said to have failed since."""
    return now.condition("PredictorConfigurationReady").false and not obstacle(now)


def observe_all(service: Service, revision: str, wanted: Wanted) -> None:
    """Wait until the gateway gives a revision everything, and KServe calls it rolled out."""

    def seen(now: InferenceService | None) -> bool | None:
        if now is None:
            raise service.gone("see all traffic on the new revision")
        service.admit(now, wanted.sequence)
        undisturbed(now, wanted.image)
        done = now.serves_alone(revision) and now.rolled_out == revision
        return True if done else None

    if not service.until(seen, seconds=SEEN_WITHIN):
        raise _unseen(service, f"{revision} has all traffic")


def _unseen(service: Service, what: str) -> UnavailableError:
    now = service.read()
    route = "" if now is None else now.condition("PredictorRouteReady").message or obstacle(now)
    return UnavailableError(
        f"see that {what}",
        service.name,
        f"the gateway did not have it in {SEEN_WITHIN:g} s ({route or 'nothing says why'}); "
        "look at Knative's controller and its ingress",
    )
