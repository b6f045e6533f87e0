"""What serves now, how traffic would move, and what it would wait for, as sentences."""

from collections.abc import Iterator

from pipeline.domain.admission import Frozen
from pipeline.domain.plan import OnReturn, Plan
from pipeline.domain.serving import ServiceState


def version_of(state: ServiceState) -> int:
    """Read which version serves; 0 where nothing does, or nobody knows."""
    return 0 if state.stable is None else state.stable.model_version or 0


def serving(plan: Plan, state: ServiceState) -> str:
    """Name what serves."""
    if state.stable is None:
        return state.foreign or "nothing"
    version = version_of(state)
    named_ = f"{plan.model}/{version}" if version else "an image of no known version"
    return f"{named_} ({state.stable.image.digest.short})"


def traffic(plan: Plan, state: ServiceState) -> tuple[str, ...]:
    """Say how traffic would move, step by step."""
    if state.stable is None:
        return ("100 % as soon as it is ready: nothing serves that it could be compared with",)
    canary = plan.canary
    steps = [
        f"{percent} % for {canary.interval:g} s and {canary.min_samples} requests at least"
        for percent in canary.steps
    ]
    if plan.on_return is OnReturn.ROLLBACK:
        steps.append("100 %; at once where this service served the very image before")
    else:
        steps.append("100 %")
    return tuple(steps)


def waits(plan: Plan, state: ServiceState, frozen: Frozen | None) -> tuple[str, ...]:
    """Say what would keep it from traffic, or from beginning at all."""
    return tuple(_waits(plan, state, frozen))


def _waits(plan: Plan, state: ServiceState, frozen: Frozen | None) -> Iterator[str]:
    if state.hold is not None:
        yield (
            f"{state.hold.actor} holds {plan.service}: {state.hold.reason}; another version under "
            f"the alias, or laurel release {plan.service}, ends that"
        )
    if plan.approvals:
        people = "one person" if plan.approvals == 1 else f"{plan.approvals} people"
        yield f"{people} must agree to its image before it gets traffic"
    if frozen is not None:
        yield f"{plan.service} is frozen until {frozen.until:%Y-%m-%d %H:%M} UTC: {frozen.reason}"
