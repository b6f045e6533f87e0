"""Counters that reset, and what follows from a look."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.analysis import Counts
from pipeline.domain.plan import CanaryPlan, NoData
from pipeline.domain.promotion import Control, ControlKind
from pipeline.domain.traffic import (
    Complete,
    Decision,
    Fail,
    Gate,
    Hold,
    Raise,
    decide,
    increments,
)
from tests.fakes.clock import START

PLAN = CanaryPlan(steps=(10, 25, 50), interval=60, min_samples=200, deadline=3600)


def decided(
    plan: CanaryPlan = PLAN,
    *,
    percent: int = 10,
    elapsed: float = 60,
    samples: int | None = 200,
    worse: str | None = None,
) -> Decision:
    return decide(plan, percent=percent, elapsed=elapsed, samples=samples, worse=worse)


def test_increments_are_summed_over_pods() -> None:
    before = {"a": Counts(100, 1), "b": Counts(50, 0)}
    after = {"a": Counts(130, 3), "b": Counts(60, 1)}
    assert increments(before, after) == Counts(40, 3)


def test_a_restarted_pod_counts_from_zero() -> None:
    assert increments({"a": Counts(100, 1)}, {"a": Counts(7, 2)}) == Counts(7, 2)
    assert increments({"a": Counts(100, 5)}, {"a": Counts(120, 2)}) == Counts(120, 2)


def test_a_new_pod_counts_from_zero_and_a_gone_one_not_at_all() -> None:
    assert increments({"a": Counts(100, 1)}, {"b": Counts(7, 2)}) == Counts(7, 2)


def test_a_failure_read_before_its_request_is_no_failure_without_a_request() -> None:
    assert increments({"a": Counts(10, 0)}, {"a": Counts(11, 3)}) == Counts(1, 1)


readings = st.dictionaries(
    st.sampled_from("abc"), st.builds(Counts, st.integers(0, 99), st.integers(0, 99))
)


@given(readings, readings)
def test_increments_are_shares_of_requests_whatever_the_counters_do(
    before: dict[str, Counts], after: dict[str, Counts]
) -> None:
    block = increments(before, after)
    assert 0 <= block.bad <= block.requests


def test_before_the_first_step_neither_time_nor_requests_are_asked_for() -> None:
    assert decided(percent=0, elapsed=0, samples=0) == Raise(10)


@pytest.mark.parametrize(
    ("percent", "following"), [(10, Raise(25)), (25, Raise(50)), (50, Complete())]
)
def test_a_step_with_time_and_requests_enough_is_passed(percent: int, following: Decision) -> None:
    assert decided(percent=percent) == following


def test_a_plan_without_steps_is_complete_at_once() -> None:
    assert decided(replace(PLAN, steps=()), percent=0, elapsed=0, samples=0) == Complete()


def test_a_step_lasts_its_interval_however_many_requests_came() -> None:
    assert decided(elapsed=59, samples=100_000) == Hold()


def test_too_few_requests_hold_the_percent_and_say_how_many() -> None:
    assert decided(samples=12) == Hold("traffic", "12 of 200 requests")


def test_too_few_requests_until_the_deadline_fail() -> None:
    decision = decided(samples=12, elapsed=3600)
    assert isinstance(decision, Fail)
    assert "12 of 200 requests in 3600 s" in decision.reason


def test_enough_requests_pass_even_at_the_deadline() -> None:
    assert decided(elapsed=3600) == Raise(25)


def test_too_few_requests_fail_where_the_plan_says_so() -> None:
    plan = replace(PLAN, no_data=NoData.FAIL)
    assert decided(plan, samples=12, elapsed=59) == Hold()
    decision = decided(plan, samples=12)
    assert isinstance(decision, Fail)
    assert "12 of 200 requests in 60 s" in decision.reason


def test_too_few_requests_pass_where_the_plan_says_so() -> None:
    assert decided(replace(PLAN, no_data=NoData.PASS), samples=12) == Raise(25)


@pytest.mark.parametrize("percent", [0, 10])
def test_unread_counters_hold_the_percent_until_the_deadline(percent: int) -> None:
    assert decided(percent=percent, samples=None, elapsed=3599) == Hold("metrics")
    decision = decided(percent=percent, samples=None, elapsed=3600)
    assert isinstance(decision, Fail)
    assert "mend the metrics source" in decision.reason


@pytest.mark.parametrize("percent", [0, 10, 50])
@pytest.mark.parametrize("no_data", NoData)
def test_a_worse_canary_fails_whatever_else_is_true(percent: int, no_data: NoData) -> None:
    plan = replace(PLAN, no_data=no_data)
    assert decided(plan, percent=percent, elapsed=0, worse="it is bad") == Fail("it is bad")


ADA = Control(ControlKind.COMPLETE, "ada", "", START)


@pytest.mark.parametrize(
    ("gate", "worse", "decision"),
    [
        (Gate("freeze"), None, Hold("freeze")),
        (Gate("resume"), "it fails", Fail("it fails")),
        (Gate(completed=ADA), None, Complete()),
        (Gate(completed=ADA), "it fails", Fail("it fails")),
        (Gate("freeze", completed=ADA), None, Hold("freeze")),
    ],
)
def test_people_keep_a_canary_or_end_it_but_none_that_is_worse(
    gate: Gate, worse: str | None, decision: Decision
) -> None:
    plan = CanaryPlan(steps=(10, 50), interval=60, min_samples=200, deadline=600)
    said = decide(plan, percent=10, elapsed=90, samples=500, worse=worse, gate=gate)
    assert said == decision


def test_what_nobody_can_count_goes_back_at_its_deadline_though_it_is_paused() -> None:
    plan = CanaryPlan(deadline=600)
    said = decide(
        plan, percent=10, elapsed=600, samples=None, worse=None, away="gone", gate=Gate("resume")
    )
    assert isinstance(said, Fail)
