"""When a request counts as slow: a threshold taken once from stable's own latency histogram.

Histograms are cumulative: ``(upper edge in milliseconds, requests that took at most so long)``.
"""

import math
from collections.abc import Iterable

from pipeline.domain.analysis import Counts
from pipeline.domain.serving import RequestTotals

ENOUGH_FOR_P95 = 100
"""Requests that stable must have answered: below, fewer than five of them lie above its p95."""


def slow_threshold(stable: Iterable[RequestTotals], *, above: float) -> float | None:
    """Find the bucket edge at or above ``above`` times stable's p95, in milliseconds.

    ``None`` while stable has answered too few requests, or where no finite edge is high enough:
    then slowness cannot be judged. The p95 is interpolated within its bucket, as Prometheus'
    ``histogram_quantile`` does; the threshold is an edge, so that nothing inside the test is.
    """
    buckets = _summed(stable)
    if not buckets or buckets[-1][1] < ENOUGH_FOR_P95:
        return None
    wanted = above * _quantile(buckets, 0.95)
    return next((edge for edge, _ in buckets if wanted <= edge < math.inf), None)


def slow(totals: RequestTotals, threshold: float) -> Counts:
    """Count the requests whose latency is known, and those among them above the threshold."""
    timed = max((count for _, count in totals.buckets), default=0)
    in_time = max((count for edge, count in totals.buckets if edge <= threshold), default=0)
    return Counts(timed, timed - in_time)


def _summed(series: Iterable[RequestTotals]) -> tuple[tuple[float, int], ...]:
    """Add the histograms of all pods; those of one source share their edges."""
    sums: dict[float, int] = {}
    for totals in series:
        for edge, count in totals.buckets:
            sums[edge] = sums.get(edge, 0) + count
    return tuple(sorted(sums.items()))


def _quantile(buckets: tuple[tuple[float, int], ...], share: float) -> float:
    rank = share * buckets[-1][1]
    at = next(index for index, (_, count) in enumerate(buckets) if count >= rank)
    lower, below = buckets[at - 1] if at else (0.0, 0)
    upper, count = buckets[at]
    return lower + (upper - lower) * (rank - below) / (count - below)
