"""What Prometheus and the gateway count of a canary on a real cluster: exactly what was sent."""

import http.client
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

import pytest

from pipeline.adapters.gateway_metrics import GatewayMetrics
from pipeline.adapters.prometheus_metrics import PrometheusMetrics
from pipeline.domain.analysis import Counts
from pipeline.domain.traffic import increments
from pipeline.errors import UnavailableError
from pipeline.ports import Metrics
from tests.cluster.conftest import Model
from tests.cluster.services import IMAGE, PERCENT, Services, ready, split
from tests.cluster.stack.whole import Whole
from tests.cluster.traffic import Traffic, burst
from tests.fakes.local_machine import eventually

pytestmark = [pytest.mark.cluster, pytest.mark.smoke]

NAME = "fraud"
_TAGGED = {"serving.kserve.io/enable-tag-routing": "true"}
Seen = Mapping[str, Counts]


@dataclass(frozen=True)
class Canary:
    """A service with a canary at half of the traffic, and what counts its requests."""

    services: Services
    sources: tuple[Metrics, ...]
    stable: str
    new: str

    def send(self, count: int, connections: int = 4) -> Traffic:
        return burst(self.services.target(NAME), count, connections)

    def read(self) -> list[dict[str, Seen]]:
        """Read every source: the series of each revision."""
        return [
            {
                revision: {name: Counts(of.completed, of.failed) for name, of in series.items()}
                for revision, series in source.read(NAME, [self.stable, self.new]).items()
            }
            for source in self.sources
        ]

    def tell(self, what: str) -> None:
        """Tell the canary's pod what to be from now on."""
        (pod,) = self.services.pods(self.new)
        with closing(http.client.HTTPConnection(pod["status"]["podIP"], 8080, timeout=10)) as to:
            to.request("POST", f"/admin/{what}")
            to.getresponse().read()

    def is_ready(self) -> bool:
        (pod,) = self.services.pods(self.new)
        conditions = {each["type"]: each["status"] for each in pod["status"]["conditions"]}
        return bool(conditions["Ready"] == "True")


@pytest.fixture
def canary(cluster: Whole, services: Services, model: Model) -> Iterator[Canary]:
    stable = services.start(NAME, model("v1"), annotations=_TAGGED)
    services.patch(
        NAME,
        {"op": "replace", "path": IMAGE, "value": model("v2", ERROR_RATE="0.3")},
        {"op": "add", "path": PERCENT, "value": 50},
    )
    found = services.wait(NAME, lambda isvc: sorted(split(isvc).values()) == [50, 50])
    services.wait(NAME, ready)
    (new,) = set(split(found)) - {stable}
    prometheus = PrometheusMetrics(cluster.place.prometheus, namespace=services.namespace)
    gateway = GatewayMetrics([cluster.place.statistics], namespace=services.namespace)
    canary = Canary(services, (prometheus, gateway), stable, new)
    eventually(lambda: _readable(canary), "the first scrape")
    yield canary
    prometheus.close()
    gateway.close()


def test_requests_and_errors_are_counted_by_revision_and_none_twice(canary: Canary) -> None:
    before = canary.read()
    sent = canary.send(400)
    stable = Counts(sent.counts()[200, "v1"])
    errors = sent.counts()[500, "v2"]
    new = Counts(sent.counts()[200, "v2"] + errors, errors)
    assert stable.requests + new.requests == 400
    assert errors
    _settled(canary, before, {canary.stable: stable, canary.new: new})


def test_requests_that_a_living_pod_never_takes_count_against_it(canary: Canary) -> None:
    canary.tell("unready")
    eventually(lambda: not canary.is_ready(), "the pod is not ready")
    before = canary.read()
    sent = canary.send(60, connections=60)
    stable, hung = sent.counts()[200, "v1"], sent.counts()[504, None]
    assert stable + hung == 60
    assert hung
    _settled(canary, before, {canary.stable: Counts(stable), canary.new: Counts(hung, hung)})


def _settled(canary: Canary, before: list[dict[str, Seen]], sent: dict[str, Counts]) -> None:
    """Wait until every source has counted what was sent; one that counts more never gets there.

    A look that finds a pod not scraped, as the judge's own may, is followed by another.
    """

    def counted() -> bool:
        try:
            found = canary.read()
        except UnavailableError:
            return False
        return [sent, sent] == [
            {name: increments(was[name], now[name]) for name in sent}
            for was, now in zip(before, found, strict=True)
        ]

    eventually(counted, f"{sent} of both sources")


def _readable(canary: Canary) -> bool:
    try:
        return all(series for source in canary.read() for series in source.values())
    except UnavailableError:
        return False
