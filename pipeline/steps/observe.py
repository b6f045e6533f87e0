"""Observe: what the service serves before anything of it is changed.

Safe to repeat: it only reads.
"""

from pipeline.domain.evidence import Refused
from pipeline.domain.serving import ServiceState
from pipeline.ports import ServingTarget


def observe(service: str, *, target: ServingTarget) -> ServiceState | Refused:
    """Read the service's state; one that serves something foreign is left alone (§8.3)."""
    state = target.observe(service)
    if state.foreign is not None:
        return Refused(
            f"{service} serves {state.foreign}, which Laurel did not put there: "
            "remove it, or choose another service name"
        )
    return state
