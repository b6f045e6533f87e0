"""How a canary moves: what arrived since the last look, and what follows from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from pipeline.domain.admission import FREEZE, RELEASE, RESUME, Frozen
from pipeline.domain.analysis import Counts
from pipeline.domain.plan import CanaryPlan, NoData
from pipeline.domain.promotion import Control, Steering


@dataclass(frozen=True, slots=True)
class Hold:
    """The percent stays. ``waiting_for`` names what is missing, if not time alone."""

    waiting_for: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Raise:
    """The step is passed; the canary may take this percent of the traffic."""

    percent: int


@dataclass(frozen=True, slots=True)
class Complete:
    """The last step is passed."""


@dataclass(frozen=True, slots=True)
class Fail:
    """Traffic goes back to stable. ``reason`` is a clause that says why and what to do."""

    reason: str


Decision = Hold | Raise | Complete | Fail


@dataclass(frozen=True, slots=True)
class Gate:
    """Whether a canary may be given more now, as people have it.

    Parameters
    ----------
    closed
        What keeps it where it is, a freeze, a pause or a hold, if anything does.
    until
        When that ends by itself, if it does.
    completed
        Who wants it to end well now, however much is still unknown.

    """

    closed: str | None = None
    until: datetime | None = None
    completed: Control | None = None

    @classmethod
    def of(cls, frozen: Frozen | None, steering: Steering, *, held: bool) -> Self:
        """Weigh what people want; who completes a canary outranks a hold, and nobody a freeze."""
        if frozen is not None:
            return cls(FREEZE, frozen.until, steering.completed)
        if steering.paused is not None:
            return cls(RESUME, None, steering.completed)
        waits = held and steering.completed is None
        return cls(RELEASE if waits else None, None, steering.completed)


OPEN = Gate()
"""Nobody keeps it from anything."""


def increments(before: Mapping[str, Counts], after: Mapping[str, Counts]) -> Counts:
    """Add up what each series counted between two readings.

    Counters start from zero when a pod or the proxy does: a series that dropped, and one not seen
    before, count from zero; one that vanished counts nothing. Counters of one series are not read
    at the same instant, so a failure may show before its request: never more bad than requests.
    """
    total = Counts()
    for series, now in after.items():
        was = before.get(series, Counts())
        if now.requests < was.requests or now.bad < was.bad:
            was = Counts()
        requests = now.requests - was.requests
        total += Counts(requests, min(requests, now.bad - was.bad))
    return total


def decide(
    plan: CanaryPlan,
    *,
    percent: int,
    elapsed: float,
    samples: int | None,
    worse: str | None,
    away: str = "",
    gate: Gate = OPEN,
) -> Decision:
    """Decide what follows from a look.

    Parameters
    ----------
    plan
        The canary's steps and limits.
    percent
        The step it is at; 0 before the first one, which asks for neither time nor requests.
    elapsed
        Seconds since the step began.
    samples
        Requests the canary answered in this step; ``None`` while the counters cannot be read.
    worse
        What the analysis holds against the canary, if anything.
    away
        Why the counters cannot be read.
    gate
        Whether it may be given more now; it is judged meanwhile, and the time in which it may not
        is none of ``elapsed``.

    """
    if worse is not None:
        return Fail(worse)
    late = elapsed >= plan.deadline
    if gate.completed:
        return Complete() if gate.closed is None else Hold(gate.closed)
    if samples is None:
        return Fail(_AWAY.format(plan.deadline, away)) if late else Hold("metrics", away)
    if gate.closed is not None or (percent and elapsed < plan.interval):
        return Hold(gate.closed)
    if percent == 0 or samples >= plan.min_samples:
        return _next(plan, percent)
    return _too_few(plan, percent, samples, late=late)


_AWAY = (
    "request counts could not be read before the step's deadline of {:g} s ({}); "
    "mend the metrics source, then retry"
)


def _too_few(plan: CanaryPlan, percent: int, samples: int, *, late: bool) -> Decision:
    seen = f"{samples} of {plan.min_samples} requests"
    if plan.no_data is NoData.PASS:
        return _next(plan, percent)
    if plan.no_data is NoData.HOLD and not late:
        return Hold("traffic", seen)
    limit = plan.deadline if plan.no_data is NoData.HOLD else plan.interval
    return Fail(
        f"it answered only {seen} in {limit:g} s; "
        "send the service traffic or lower canary.min_samples, then retry"
    )


def _next(plan: CanaryPlan, percent: int) -> Decision:
    following = next((step for step in plan.steps if step > percent), None)
    return Complete() if following is None else Raise(following)
