"""Observe: what the service serves before anything of it is changed.

Safe to repeat: it only reads.
"""

import logging

from pipeline.domain.evidence import Observed, Refused, VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.ports import ServingTarget

_log = logging.getLogger(__name__)


def observe(verified: VerifiedImage, *, plan: Plan, target: ServingTarget) -> Observed | Refused:
    """Read the service's state; one that serves something foreign is left alone (§8.3).

    Unless that is this very image, or the service may be adopted; either way it is said what
    becoming Laurel's changes of it.
    """
    state = target.observe(plan.service)
    if state.foreign is None:
        return Observed(state)
    differences = target.differences(plan, verified)
    if plan.pods.adopt or state.serves(verified.ref):
        told = "; ".join(differences) or "nothing changes"
        _log.warning("%s is adopted, it serves %s: %s", plan.service, state.foreign, told)
        return Observed(state, differences)
    return Refused(
        f"{plan.service} serves {state.foreign}, which Laurel did not put there: remove it, choose "
        "another service name, or let it be taken over with adopt: true",
        {"serves": state.foreign, "adopting it would change": list(differences)},
    )
