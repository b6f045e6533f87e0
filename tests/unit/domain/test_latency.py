"""The threshold of slowness, from cumulative histograms."""

import math

import pytest

from pipeline.domain.analysis import Counts
from pipeline.domain.latency import slow, slow_threshold
from pipeline.domain.serving import RequestTotals


def histogram(*buckets: tuple[float, int]) -> RequestTotals:
    return RequestTotals(completed=buckets[-1][1], buckets=buckets)


STABLE = histogram((5, 100), (10, 800), (20, 940), (30, 960), (50, 1000), (math.inf, 1000))


def test_the_threshold_is_the_edge_above_so_many_times_stables_p95() -> None:
    assert slow_threshold([STABLE], above=1.0) == 30  # p95 = 25 ms, half way from 20 to 30
    assert slow_threshold([STABLE], above=1.2) == 30
    assert slow_threshold([STABLE], above=1.3) == 50


def test_a_p95_in_the_first_bucket_starts_from_zero() -> None:
    assert slow_threshold([histogram((10, 1000), (20, 1000))], above=1.3) == 20


def test_pods_are_one_distribution() -> None:
    fast, lagging = histogram((10, 900), (20, 900)), histogram((10, 0), (20, 100))
    assert slow_threshold([fast], above=1.0) == 10
    assert slow_threshold([fast, lagging], above=1.0) == 20


@pytest.mark.parametrize(
    "series",
    [
        [],
        [RequestTotals()],
        [histogram((10, 99), (20, 99))],
    ],
    ids=["no pods", "no histogram", "too few requests"],
)
def test_slowness_waits_until_stable_has_shown_its_p95(series: list[RequestTotals]) -> None:
    assert slow_threshold(series, above=1.3) is None


@pytest.mark.parametrize(
    "stable",
    [histogram((10, 0), (math.inf, 1000)), histogram((10, 1000))],
    ids=["beyond every edge", "edge too low"],
)
def test_slowness_cannot_be_judged_without_a_finite_edge_high_enough(stable: RequestTotals) -> None:
    assert slow_threshold([stable], above=1.3) is None


def test_requests_above_the_threshold_are_slow() -> None:
    assert slow(STABLE, 20) == Counts(1000, 60)
    assert slow(STABLE, 50) == Counts(1000, 0)


def test_requests_without_a_latency_are_not_counted() -> None:
    assert slow(RequestTotals(completed=5, failed=5), 20) == Counts(0, 0)
