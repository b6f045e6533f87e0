"""Give stable all of the traffic back: the end of every promotion that ends badly.

Safe to repeat, and repeated for ever by who calls it: no promotion ends with canary traffic live.
"""

from pipeline.domain.serving import ServiceState
from pipeline.errors import ConflictError, StaleSequenceError
from pipeline.ports import ServingTarget


def restore(service: str, *, sequence: int, target: ServingTarget) -> ServiceState | None:
    """Put traffic back on stable and remove the canary; with no stable, what was created goes.

    Returned is what serves then; ``None`` where a newer promotion has the service.

    Raises
    ------
    ConflictError
        Where the target still reports canary traffic afterwards.
    StepError
        Where the target cannot be reached or won't let us.

    """
    try:
        target.restore(service, sequence)
    except StaleSequenceError:  # a newer promotion has the service: nothing here is ours any more
        return None
    state = target.observe(service)
    canary = state.canary
    if canary is not None and canary.percent > 0:
        raise ConflictError(
            "see stable take all traffic",
            f"{service}, {canary.name}",
            f"the canary still takes {canary.percent} %; look again",
        )
    return state
