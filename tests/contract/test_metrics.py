"""What every source of request counters tells: the fake that other tests use, and Envoy."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.adapters.envoy_metrics import EnvoyMetrics
from pipeline.domain.plan import Plan
from pipeline.domain.serving import Readiness, RequestTotals
from pipeline.errors import UnavailableError
from pipeline.ports import Metrics
from tests.fakes.local_machine import LocalMachine, eventually, kill
from tests.fakes.served_image import ImageMaker

pytestmark = pytest.mark.xdist_group("local")

PLAN = Plan("fraud", "fraud")
MODEL = """
import time

def invoke(body):
    if body == b"slow":
        time.sleep(0.15)
    if body == b"drop":
        os._exit(1)
    return (500 if body == b"fail" else 200), body
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageMaker:
    return ImageMaker(tmp_path_factory.mktemp("images"))


@pytest.fixture
def machine(images: ImageMaker, tmp_path: Path) -> Iterator[LocalMachine]:
    with LocalMachine(tmp_path, images) as machine:
        revision = machine.serving.deploy(PLAN, images.serve(MODEL), 1)
        eventually(lambda: machine.serving.readiness("fraud", revision)[0] is Readiness.READY)
        machine.serving.complete("fraud", revision, 1)
        yield machine


def totals(machine: LocalMachine) -> RequestTotals:
    (only,) = machine.metrics.read("fraud", ["fraud-00001"])["fraud-00001"].values()
    return only


def test_answers_count_as_completed_and_server_errors_as_failed(machine: LocalMachine) -> None:
    for body in (b"ok", b"ok", b"fail"):
        machine.request(body)
    eventually(lambda: totals(machine).completed == 3)
    assert totals(machine).failed == 1


def test_a_request_that_dies_with_its_server_counts_as_failed(machine: LocalMachine) -> None:
    assert machine.request(b"drop")[0] == 503
    eventually(lambda: (totals(machine).completed, totals(machine).failed) == (1, 1))


def test_a_refused_connection_counts_as_failed(machine: LocalMachine) -> None:
    kill(machine.server("fraud-00001"))
    assert machine.request()[0] == 503
    eventually(lambda: (totals(machine).completed, totals(machine).failed) == (1, 1))


def test_latencies_are_cumulative_counts_by_milliseconds(machine: LocalMachine) -> None:
    for body in (b"ok", b"slow"):
        machine.request(body)
    eventually(lambda: bool(totals(machine).buckets) and totals(machine).buckets[-1][1] == 2)
    buckets = dict(totals(machine).buckets)
    assert buckets[100.0] == 1
    counts = list(buckets.values())
    assert counts == sorted(counts)
    assert list(buckets) == sorted(buckets)


def test_a_revision_without_requests_has_zeros(machine: LocalMachine) -> None:
    read = machine.metrics.read("fraud", ["fraud-00001", "fraud-00002"])
    assert [list(series.values()) for series in read.values()] == [[RequestTotals()]] * 2


def test_another_envoy_is_another_series(machine: LocalMachine) -> None:
    (before,) = machine.metrics.read("fraud", ["fraud-00001"])["fraud-00001"]
    envoy = machine.front.process()
    assert envoy is not None
    kill(envoy)
    with pytest.raises(UnavailableError, match="fraud"):
        machine.metrics.read("fraud", ["fraud-00001"])
    machine.supervisor.reconcile()
    (after,) = machine.metrics.read("fraud", ["fraud-00001"])["fraud-00001"]
    assert after != before


def test_it_is_a_source_of_metrics() -> None:
    _: type[Metrics] = EnvoyMetrics
