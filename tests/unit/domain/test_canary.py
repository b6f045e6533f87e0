"""The state of one canary: readings in, evidence and samples out, and through JSON and back."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.domain.analysis import Evidence
from pipeline.domain.canary import ERRORS, SLOW, CanaryState, Totals
from pipeline.domain.plan import AnalysisPlan
from pipeline.domain.serving import RequestTotals

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
PLAN = AnalysisPlan()


def counted(requests: int, failed: int = 0, slow: int = 0, series: str = "pod-1") -> Totals:
    buckets = ((10.0, requests - slow), (20.0, requests - slow), (1000.0, requests))
    return {series: RequestTotals(requests, failed, buckets)}


def looked(*readings: tuple[Totals, Totals]) -> CanaryState:
    state = CanaryState.begin(AT)
    for stable, canary in readings:
        state = state.look(stable, canary, plan=PLAN, at=state.looked_at + timedelta(seconds=5))
    return state


def test_the_first_reading_only_says_where_the_counters_start() -> None:
    state = looked((counted(5000, 400, 100), counted(70, 70)))
    assert state.samples == (0, 0)
    assert state.evidence == {ERRORS: Evidence(), SLOW: Evidence()}
    assert state.worse(PLAN) is None


def test_later_readings_are_evidence() -> None:
    state = looked((counted(5000), {}), (counted(5900, 1), counted(100, 50)))
    assert state.samples == (900, 100)
    assert state.looked_at == AT + timedelta(seconds=10)
    worse = state.worse(PLAN)
    assert worse is not None
    assert worse.startswith(
        "50 of its 100 requests failed, 1 of stable's 900 (allowed: 1 points more); "
    )


def test_slow_requests_are_evidence_of_their_own() -> None:
    state = looked((counted(5000), {}), (counted(5900), counted(100, slow=90)))
    assert state.threshold == 20
    assert state.evidence[ERRORS].log_e < 0
    worse = state.worse(PLAN)
    assert worse is not None
    assert worse.startswith(
        "90 of its 100 requests took over 20 ms, 0 of stable's 900 (allowed: 5 "
    )


def test_slowness_is_judged_from_when_stable_has_shown_its_p95() -> None:
    state = looked((counted(50), {}), (counted(80), counted(9, slow=9)))
    assert state.threshold is None
    assert set(state.evidence) == {ERRORS}
    state = looked((counted(50), {}), (counted(150), counted(9, slow=9)))
    assert state.threshold == 20
    assert state.evidence[SLOW] == Evidence()


def test_the_threshold_stays_when_stable_becomes_slower() -> None:
    state = looked((counted(1000), {}), (counted(9000, slow=8000), {}))
    assert state.threshold == 20


def test_a_series_that_was_away_goes_on_where_it_was() -> None:
    state = looked((counted(5000), {}), ({}, {}), (counted(5010), counted(3)))
    assert state.samples == (10, 3)


def test_requests_that_wait_to_be_compared_are_no_samples() -> None:
    """Else a canary that fails all of them would pass a short step before it is judged."""
    apart = looked(
        (counted(100), {}), (counted(100), counted(50, 50)), (counted(900), counted(50, 50))
    )
    assert apart.evidence[ERRORS].late_canary.requests == 50
    assert apart.samples == (0, 0)
    judged = apart.look(counted(1800), counted(90, 90), plan=PLAN, at=apart.looked_at)
    assert judged.samples == (1700, 90)


def test_a_raise_counts_samples_anew_and_keeps_the_evidence() -> None:
    state = looked((counted(5000), {}), (counted(5900, 1), counted(100, 2)))
    raised = state.raised(25, AT + timedelta(seconds=60))
    assert (raised.percent, raised.started_at) == (25, AT + timedelta(seconds=60))
    assert raised.samples == (0, 0)
    assert raised.evidence == state.evidence


def test_a_smaller_chance_of_error_asks_for_more_evidence() -> None:
    state = looked((counted(5000), {}), (counted(5900), counted(100, 30)))
    assert state.worse(AnalysisPlan(confidence=0.9)) is not None
    assert state.worse(AnalysisPlan(confidence=0.999_999)) is None


def test_a_state_survives_json_to_the_bit() -> None:
    state = looked((counted(5000), {}), (counted(5900, 1), counted(100, 50, 7))).raised(25, AT)
    assert CanaryState.from_json(json.loads(json.dumps(state.to_json(), allow_nan=False))) == state


def test_the_summary_says_what_was_seen() -> None:
    state = looked((counted(5000), {}), (counted(5900, 9), counted(100, 2)))
    summary = json.loads(json.dumps(state.summary(PLAN), allow_nan=False))
    assert summary["samples"] == {"stable": 900, "canary": 100}
    assert summary["slow_threshold_ms"] == 20
    errors = summary["metrics"][ERRORS]
    assert errors["stable"] == {"requests": 900, "bad": 9, "share": 0.01}
    assert errors["canary"] == {"requests": 100, "bad": 2, "share": 0.02}
    assert errors["max_increase"] == 0.01
    assert errors["fails_at_log_e"] == pytest.approx(5.298, abs=1e-3)  # log(2 metrics / 0.01)
    low, high = errors["increase"]
    assert low < 0.01 < high
