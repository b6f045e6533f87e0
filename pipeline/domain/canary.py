"""Where one canary stands: its step, the last reading of the counters, the evidence so far.

A value that goes into the ledger with every look, so that a restarted worker continues the same
test from the same counters; what happened meanwhile is one longer block.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from pipeline.domain.analysis import Counts, Evidence, increase, look
from pipeline.domain.latency import slow, slow_threshold
from pipeline.domain.plan import AnalysisPlan
from pipeline.domain.serving import RequestTotals
from pipeline.domain.traffic import increments

ERRORS, SLOW = "errors", "slow"
"""The metrics: the share of requests that failed, and that took longer than the threshold."""

Totals = Mapping[str, RequestTotals]
"""One revision's counters, by series."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric's counters of both arms, by series."""

    stable: dict[str, Counts]
    canary: dict[str, Counts]

    def over(self, before: "Reading") -> "Reading":
        """Keep the series that are not seen now: one that returns goes on where it was."""
        return Reading(before.stable | self.stable, before.canary | self.canary)


@dataclass(frozen=True, slots=True)
class CanaryState:
    """A canary at one of its steps.

    Parameters
    ----------
    percent
        The canary's share of the traffic; 0 before the first step.
    started_at
        When this step began.
    looked_at
        When the counters were last read; at first, when the canary began.
    earlier
        Requests that stable and the canary had answered when this step began.
    threshold
        Milliseconds above which a request is slow; ``None`` until stable has shown its p95. Then
        it stays, for one test has one null hypothesis.
    readings
        The last reading by metric.
    evidence
        What each metric has shown, over all steps: one promise for the whole canary.
    idle
        Seconds of this step in which it must not have been raised: paused, or frozen.
    given
        Whether the target has taken the percent; until then the step has not begun, so that no
        step passes on what was answered at the one before.

    """

    percent: int
    started_at: datetime
    looked_at: datetime
    earlier: tuple[int, int] = (0, 0)
    threshold: float | None = None
    readings: dict[str, Reading] = field(default_factory=dict)
    evidence: dict[str, Evidence] = field(default_factory=dict)
    idle: float = 0.0
    given: bool = True

    @classmethod
    def begin(cls, at: datetime) -> Self:
        """Stand before the first step."""
        return cls(percent=0, started_at=at, looked_at=at)

    def raised(self, percent: int, at: datetime) -> Self:
        """Stand before the next step; the evidence goes on."""
        return replace(self, percent=percent, started_at=at, given=False)

    def begun(self, at: datetime) -> Self:
        """Begin the step, for the target has taken its percent."""
        return replace(self, started_at=at, earlier=self._judged(), idle=0.0, given=True)

    def idled(self, seconds: float) -> Self:
        """Take some time out of this step, in which it must not be raised."""
        return replace(self, idle=self.idle + seconds)

    def elapsed(self, at: datetime) -> float:
        """Seconds that count since this step began."""
        return (at - self.started_at).total_seconds() - self.idle if self.given else 0.0

    def look(self, stable: Totals, canary: Totals, *, plan: AnalysisPlan, at: datetime) -> Self:
        """Take in new counters; a metric's first reading only says where it starts."""
        threshold = self.threshold
        if threshold is None:
            threshold = slow_threshold(stable.values(), above=plan.slow_above)
        readings, evidence = {}, {}
        for metric, now in _readings(stable, canary, threshold).items():
            before = self.readings.get(metric, now)
            readings[metric] = now.over(before)
            evidence[metric] = look(
                self.evidence.get(metric, Evidence()),
                increments(before.stable, now.stable),
                increments(before.canary, now.canary),
                margin=_margin(plan, metric),
            )
        return replace(
            self, looked_at=at, threshold=threshold, readings=readings, evidence=evidence
        )

    @property
    def samples(self) -> tuple[int, int]:
        """Requests of stable and of the canary that were judged in this step.

        Those that still wait to be compared do not count: no step passes on what nobody judged.
        """
        if not self.given:
            return 0, 0
        stable, canary = self._judged()
        return stable - self.earlier[0], canary - self.earlier[1]

    def worse(self, plan: AnalysisPlan) -> str | None:
        """Say, as a clause, what proves the canary worse than the plan allows, if anything does."""
        for metric, evidence in self.evidence.items():
            if evidence.proves(_alpha(plan)):
                stable, canary = evidence.seen
                became = "failed" if metric == ERRORS else f"took over {self.threshold:g} ms"
                return (
                    f"{canary.bad} of its {canary.requests} requests {became}, "
                    f"{stable.bad} of stable's {stable.requests} "
                    f"(allowed: {100 * _margin(plan, metric):g} points more); "
                    "mend the model and promote its new version"
                )
        return None

    def summary(self, plan: AnalysisPlan) -> dict[str, Any]:
        """Tell people and the API what was seen, as JSON (interfaces §5, ``canary``)."""
        stable, canary = self.samples
        return {
            "percent": self.percent,
            "started_at": self.started_at.isoformat(),
            "at": self.looked_at.isoformat(),
            "samples": {"stable": stable, "canary": canary},
            "slow_threshold_ms": self.threshold,
            "metrics": {
                metric: _metric_summary(evidence, plan, metric)
                for metric, evidence in self.evidence.items()
            },
        }

    def to_json(self) -> dict[str, Any]:
        """Write everything that :meth:`from_json` needs."""
        return asdict(self) | {
            "started_at": self.started_at.isoformat(),
            "looked_at": self.looked_at.isoformat(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what :meth:`to_json` wrote."""
        return cls(
            percent=data["percent"],
            started_at=datetime.fromisoformat(data["started_at"]),
            looked_at=datetime.fromisoformat(data["looked_at"]),
            earlier=(data["earlier"][0], data["earlier"][1]),
            threshold=data["threshold"],
            readings={
                metric: Reading(**{arm: _series_from_json(series) for arm, series in arms.items()})
                for metric, arms in data["readings"].items()
            },
            evidence={
                metric: Evidence.from_json(evidence)
                for metric, evidence in data["evidence"].items()
            },
            idle=data.get("idle", 0.0),
            given=data.get("given", True),
        )

    def _judged(self) -> tuple[int, int]:
        evidence = self.evidence.get(ERRORS, Evidence())
        return evidence.stable.requests, evidence.canary.requests


def _readings(stable: Totals, canary: Totals, threshold: float | None) -> dict[str, Reading]:
    readings = {ERRORS: Reading(_failed(stable), _failed(canary))}
    if threshold is not None:
        readings[SLOW] = Reading(_slow(stable, threshold), _slow(canary, threshold))
    return readings


def _failed(totals: Totals) -> dict[str, Counts]:
    return {series: Counts(seen.completed, seen.failed) for series, seen in totals.items()}


def _slow(totals: Totals, threshold: float) -> dict[str, Counts]:
    return {series: slow(seen, threshold) for series, seen in totals.items()}


def _margin(plan: AnalysisPlan, metric: str) -> float:
    return plan.errors_max_increase if metric == ERRORS else plan.slow_max_increase


def _alpha(plan: AnalysisPlan) -> float:
    """Share the chance of a wrong rollback among the metrics."""
    return (1 - plan.confidence) / len((ERRORS, SLOW))


def _metric_summary(evidence: Evidence, plan: AnalysisPlan, metric: str) -> dict[str, Any]:
    stable, canary = evidence.seen
    return {
        "stable": asdict(stable) | {"share": round(stable.share, 6)},
        "canary": asdict(canary) | {"share": round(canary.share, 6)},
        "max_increase": _margin(plan, metric),
        "increase": [round(end, 6) for end in increase(stable, canary, alpha=_alpha(plan))],
        "log_e": round(evidence.log_e, 6),
        "fails_at_log_e": round(-math.log(_alpha(plan)), 6),
    }


def _series_from_json(series: dict[str, dict[str, int]]) -> dict[str, Counts]:
    return {name: Counts(**counts) for name, counts in series.items()}
