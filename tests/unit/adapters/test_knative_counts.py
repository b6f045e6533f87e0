"""Whose a counter is and what it counts, where a real Prometheus would rarely show it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters.knative_counts import Scraped, View, chosen
from pipeline.domain.analysis import Counts

FRAUD = "fraud-00001"
POD = f"{FRAUD}-deployment-575687bc8-h4s92"
AT = {"job": "pods", "instance": "10.0.0.9:9091", "namespace": "ml", "pod": POD}
ROW = {**AT, "k8s_namespace_name": "ml", "k8s_pod_name": POD, "kn_revision_name": FRAUD}
ACTIVATOR = {"instance": "10.0.0.2:9090", "service_name": "activator", "pod": "activator-1"}
WHOLE = {"http_request_method": "POST", "kn_route_tag": "kn:disabled", "server_address": "fraud.ml"}
OK, FAILED = {"http_response_status_code": "200"}, {"http_response_status_code": "503"}
END = {"le": "+Inf"}


def scraped(*rows: dict[str, str], revisions: tuple[str, ...] = (FRAUD,)) -> Scraped:
    return Scraped(rows, namespace="ml", revisions=revisions)


def counted(found: Scraped, *samples: tuple[dict[str, str], float]) -> Counts:
    counters = found.counters(samples)
    totals = [
        counter.totals(counters[counter])
        for counter in chosen(counters, activators=found.activators)
    ]
    return sum((Counts(one.completed, one.failed) for one in totals), start=Counts())


def test_the_whole_proxys_count_is_taken_before_the_models_own() -> None:
    whole, app = {**AT, **WHOLE, **FAILED, **END}, {**AT, **OK, **END}
    assert counted(scraped(ROW), (whole, 3), (app, 2)) == Counts(3, 3)


def test_the_models_own_count_serves_where_the_whole_proxys_was_dropped() -> None:
    found = scraped(ROW, ACTIVATOR)
    at_activator = {**ACTIVATOR, "kn_revision_name": FRAUD, "http_request_method": "POST"}
    samples = ({**AT, **OK, **END}, 2.0), ({**at_activator, **FAILED, **END}, 5.0)
    assert counted(found, *samples) == Counts(2, 0)
    assert counted(found, samples[1]) == Counts(5, 5)


def test_of_old_knative_the_whole_proxys_count_is_taken_before_the_models_own() -> None:
    own = {"revision_name": FRAUD, "pod_name": POD, "response_code": "504", "le": "100"}
    whole, app = {**own, "route_tag": "DISABLED"}, own
    found = scraped()
    assert counted(found, (whole, 4), (app, 3)) == Counts(4, 4)
    (counter, buckets), *_ = found.counters([(whole, 4)]).items()
    assert (counter.view, buckets) == (View.OLD_PROXY, {100.0: 4})


@pytest.mark.parametrize(
    "labels",
    [
        {**AT, **WHOLE, **OK},  # no bucket
        {**AT, **WHOLE, **END},  # no status
        {**AT, "instance": "10.0.0.9:8082", **WHOLE, **OK, **END},  # another scrape of the pod
        {**WHOLE, **OK, **END},  # of nobody
        {**AT, "job": "other", **WHOLE, **OK, **END},
    ],
)
def test_what_is_not_surely_ours_is_not_counted(labels: dict[str, str]) -> None:
    unnamed = {**ROW, "pod": "a-pod", "k8s_pod_name": "a-pod"}
    assert counted(scraped(unnamed), ({**labels, "pod": "a-pod"}, 7)) == Counts()


def test_a_label_of_knatives_own_is_believed_before_the_pods_name() -> None:
    other = {**AT, **WHOLE, **OK, **END, "kn_revision_name": "churn-00001"}
    ours = {**other, "kn_revision_name": FRAUD, "pod": "a-pod"}
    found = scraped()
    assert counted(found, (other, 7), (ours, 1)) == Counts(1, 0)


def test_rows_of_other_revisions_at_the_same_address_are_passed_over() -> None:
    other = {**ROW, "kn_revision_name": "churn-00001"}
    sample = {"instance": AT["instance"], **WHOLE, **OK, **END}
    assert counted(scraped(other, ROW), (sample, 1)) == Counts(1, 0)


def test_a_pods_addresses_are_known_and_an_activators_are_not_taken_for_one() -> None:
    assert scraped(ROW, ACTIVATOR, {"pod": POD}).instances == {AT["instance"]}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 9)), min_size=1))
def test_of_copies_the_one_that_is_ahead_counts(seen: list[tuple[str, int]]) -> None:
    rows: list[dict[str, Any]] = [{**ROW, "replica": name} for name in "ab"]
    samples = [
        ({**AT, **WHOLE, **OK, **END, "replica": name}, float(value)) for name, value in seen
    ]
    assert counted(scraped(*rows), *samples) == Counts(max(value for _, value in seen), 0)
