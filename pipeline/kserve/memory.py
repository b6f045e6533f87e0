"""KServe's memory of earlier rollouts, put right where it turned traffic away from stable (trap 7).

When a revision is delayed or refused, KServe takes the split that is asked for as an order to roll
back, and gives everything to the version before stable. What is remembered stands in ``/status``.
"""

from pipeline.kserve import patches
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.recovery import runs_stable
from pipeline.kserve.service import Service


def keep_memory(service: Service, now: InferenceService) -> bool:
    """Correct what KServe calls rolled out where that is not stable; tell whether that was so.

    Only while a split is asked for: without one the newest ready revision has everything anyway.
    """
    if now.percent is None or not (found := standing(service, now)):
        return False
    service.patch_status(patches.repaired(now, found))
    return True


def standing(service: Service, now: InferenceService) -> str:
    """Find a revision of stable that can take everything, where the one rolled out is none.

    ``""`` where that one is, or there is no other. KServe may have forgotten its name by then.
    """
    if not now.rolled_out or runs_stable(now, service.image(now.rolled_out)):
        return ""
    found = (one for one in service.revisions() if runs_stable(now, one.image))
    return next((one.name for one in found if one.warm(now.need)), "")
