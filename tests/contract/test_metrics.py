"""What every source of request counters tells: Envoy here, gateways, and Prometheus."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.adapters.envoy_metrics import EnvoyMetrics
from pipeline.adapters.gateway_metrics import GatewayMetrics
from pipeline.adapters.prometheus_metrics import PrometheusMetrics
from pipeline.domain.analysis import Counts
from pipeline.domain.serving import RequestTotals
from pipeline.domain.traffic import increments
from pipeline.errors import UnavailableError
from pipeline.ports import Metrics
from tests.fakes.served_image import ImageMaker
from tests.servers.counted_traffic import (
    CANARY,
    STABLE,
    Cluster,
    Scene,
    gateway_scene,
    local_scene,
    scraped_cluster,
    unread,
)
from tests.servers.gateway import Mesh
from tests.servers.queue_proxies import Knative
from tests.servers.waiting import until

_TESTS = 8
"""At least as many as there are tests below: each takes pods that nobody has asked yet."""
_SOURCES = [
    pytest.param("envoy", marks=pytest.mark.xdist_group("local")),
    *(
        pytest.param(source, id=f"gateway-{source.value}", marks=pytest.mark.xdist_group("scraped"))
        for source in Mesh
    ),
    *(
        pytest.param(
            source,
            id=f"prometheus-{source.name.lower()}",
            marks=pytest.mark.xdist_group("scraped"),
        )
        for source in Knative
    ),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> ImageMaker:
    return ImageMaker(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with scraped_cluster(tmp_path_factory.mktemp("prometheus"), tests=_TESTS) as cluster:
        yield cluster


@pytest.fixture(params=_SOURCES)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    match request.param:
        case Mesh() as mesh:
            with gateway_scene(tmp_path, mesh) as scene:
                yield scene
        case Knative() as knative:
            cluster: Cluster = request.getfixturevalue("cluster")
            with cluster.scene(knative) as scene:
                yield scene
        case _:
            with local_scene(request.getfixturevalue("images"), tmp_path) as scene:
                yield scene


def series(scene: Scene, revision: str = STABLE) -> dict[str, RequestTotals]:
    """Read; a source that has not scraped lately says so, and is asked again."""

    def read() -> dict[str, dict[str, RequestTotals]] | None:
        with suppress(UnavailableError):
            return scene.metrics.read("fraud", [STABLE, CANARY])
        return None

    return until(read, "an answer", say=lambda: unread(scene))[revision]


def counts(scene: Scene, revision: str = STABLE) -> dict[str, Counts]:
    read = series(scene, revision)
    return {name: Counts(totals.completed, totals.failed) for name, totals in read.items()}


def total(scene: Scene, revision: str = STABLE) -> tuple[int, int]:
    seen = sum(counts(scene, revision).values(), start=Counts())
    return seen.requests, seen.bad


def buckets(scene: Scene) -> dict[float, int]:
    edges: dict[float, int] = {}
    for totals in series(scene).values():
        for edge, count in totals.buckets:
            edges[edge] = edges.get(edge, 0) + count
    return edges


def comes(condition: Callable[[], bool]) -> None:
    until(condition, "the counts")


def test_answers_count_as_completed_and_server_errors_as_failed(scene: Scene) -> None:
    for body in (b"ok", b"ok", b"fail"):
        scene.request(body)
    comes(lambda: total(scene) == (3, 1))


def test_a_request_that_dies_with_its_server_counts_as_failed(scene: Scene) -> None:
    assert scene.request(b"drop") in {502, 503}
    comes(lambda: total(scene) == (1, 1))


def test_a_refused_connection_counts_as_failed(scene: Scene) -> None:
    scene.unreachable()
    assert scene.request() in {502, 503}
    comes(lambda: total(scene) == (1, 1))


def test_latencies_are_cumulative_counts_by_milliseconds(scene: Scene) -> None:
    for body in (b"ok", b"slow"):
        scene.request(body)
    comes(lambda: max(buckets(scene).values(), default=0) == 2)
    found = buckets(scene)
    assert found[100.0] == 1
    assert found[max(found)] == 2
    for totals in series(scene).values():
        assert list(totals.buckets) == sorted(totals.buckets)
        numbers = [count for _, count in totals.buckets]
        assert numbers == sorted(numbers)


def test_a_revision_without_requests_has_zeros(scene: Scene) -> None:
    assert total(scene) == total(scene, CANARY) == (0, 0)
    assert series(scene)


def test_a_revision_counts_nothing_for_one_whose_name_begins_with_its_own(scene: Scene) -> None:
    scene.request()
    comes(lambda: total(scene) == (1, 0))
    assert total(scene, CANARY) == (0, 0)


def test_what_counts_may_begin_anew_and_no_request_is_counted_twice(scene: Scene) -> None:
    for body in (b"ok", b"fail", b"ok"):
        scene.request(body)
    comes(lambda: total(scene) == (3, 1))
    before = counts(scene)
    scene.restart()
    scene.request()
    comes(lambda: increments(before, counts(scene)) == Counts(1, 0))


def test_nobody_to_ask_is_said_and_no_count_of_nothing(scene: Scene) -> None:
    scene.request()
    comes(lambda: total(scene) == (1, 0))
    scene.silence()
    with pytest.raises(UnavailableError, match="fraud"):
        scene.metrics.read("fraud", [STABLE, CANARY])


def test_all_are_sources_of_metrics() -> None:
    _: tuple[type[Metrics], ...] = (EnvoyMetrics, GatewayMetrics, PrometheusMetrics)
