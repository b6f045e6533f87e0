"""What only a real Envoy shows of gateways: several of them, many clusters, requests it fails."""

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.adapters import count_source
from pipeline.adapters.gateway_metrics import GatewayMetrics
from pipeline.domain.serving import RequestTotals
from pipeline.errors import UnavailableError
from tests.fakes.local_machine import eventually
from tests.servers.gateway import Gateway, Mesh, running_gateway
from tests.servers.ports import free_ports

pytestmark = pytest.mark.xdist_group("scraped")

FRAUD, LONGER = "fraud-00001", "fraud-000010"


def total(metrics: GatewayMetrics, revision: str = FRAUD) -> tuple[int, int]:
    read = metrics.read("fraud", [revision])[revision].values()
    return sum(one.completed for one in read), sum(one.failed for one in read)


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Gateway, Gateway]:
    """Describe two gateways that listen on the same ports of two addresses, as pods do."""
    ports = free_ports(2)
    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        folder.mkdir()
    first, second = (
        Gateway(folder, "ml", (FRAUD,), host=host, ports=ports)
        for folder, host in zip(folders, ("127.0.0.1", "127.0.0.2"), strict=True)
    )
    return first, second


@pytest.mark.parametrize("mesh", list(Mesh))
def test_a_request_that_nobody_answers_in_time_counts_as_failed(tmp_path: Path, mesh: Mesh) -> None:
    with running_gateway(tmp_path, FRAUD, mesh=mesh) as gateway:
        metrics = GatewayMetrics([gateway.url], namespace="ml")
        assert gateway.request(FRAUD, b"hang") == 504
        eventually(lambda: total(metrics) == (1, 1))


@pytest.mark.parametrize("mesh", list(Mesh))
def test_requests_to_a_revision_with_a_longer_name_are_not_counted(
    tmp_path: Path, mesh: Mesh
) -> None:
    with running_gateway(tmp_path, FRAUD, LONGER, mesh=mesh) as gateway:
        metrics = GatewayMetrics([gateway.url], namespace="ml")
        gateway.request(LONGER, b"fail")
        eventually(lambda: total(metrics, LONGER) == (1, 1))
        assert total(metrics) == (0, 0)


def test_of_many_clusters_envoy_tells_no_more_than_those_that_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    pieces = count_source.CountSource._pieces

    def counted(*parts: object) -> object:
        for piece in pieces(*parts):  # type: ignore[arg-type]  # drawn by hypothesis
            heard.append(len(piece))
            yield piece

    monkeypatch.setattr(count_source.CountSource, "_pieces", counted)
    with running_gateway(tmp_path, FRAUD, others=1000) as gateway:
        metrics = GatewayMetrics([gateway.url], namespace="ml")
        gateway.request(FRAUD)
        eventually(lambda: total(metrics) == (1, 0))
        heard.clear()
        metrics.read("fraud", [FRAUD])
        assert sum(heard) < 10_000


def test_every_gateway_behind_one_name_is_a_series_and_those_that_answer_are_enough(
    pair: tuple[Gateway, Gateway], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"gateways.test": ["127.0.0.1", "127.0.0.2"]}
    really = socket.getaddrinfo

    def resolved(host: str, *parts: int, **named: int) -> list[object]:  # as a headless Service is
        return [found for at in names.get(host, [host]) for found in really(at, *parts, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    port = pair[0].ports[1]
    metrics = GatewayMetrics([f"http://gateways.test:{port}/stats/prometheus"], namespace="ml")
    with ExitStack() as running:
        for gateway in pair:
            gateway.behind(FRAUD, free_ports(1)[0])
            running.callback(gateway.kill)
            gateway.start()
            assert gateway.request(FRAUD) == 503
        eventually(lambda: total(metrics) == (2, 2))
        series = metrics.read("fraud", [FRAUD])[FRAUD]
        assert set(series) == {f"127.0.0.1:{port}", f"127.0.0.2:{port}"}
        pair[1].kill()
        assert set(metrics.read("fraud", [FRAUD])[FRAUD]) == {f"127.0.0.1:{port}"}
        pair[0].kill()
        with pytest.raises(UnavailableError, match="does not answer"):
            metrics.read("fraud", [FRAUD])


def test_two_addresses_of_one_gateway_are_counted_once(tmp_path: Path) -> None:
    with running_gateway(tmp_path, FRAUD) as gateway:
        also = gateway.url.replace("127.0.0.1", "localhost")
        metrics = GatewayMetrics([gateway.url, also], namespace="ml")
        gateway.request(FRAUD)
        eventually(lambda: total(metrics) == (1, 0))


def test_a_revision_that_a_gateway_does_not_route_to_yet_has_counted_nothing(
    tmp_path: Path,
) -> None:
    with running_gateway(tmp_path, FRAUD) as gateway:
        metrics = GatewayMetrics([gateway.url], namespace="ml")
        read = metrics.read("fraud", [FRAUD, "fraud-00002"])
        assert read["fraud-00002"] == {}
        assert list(read[FRAUD].values()) == [RequestTotals()]


def test_gateways_that_route_to_none_of_the_revisions_are_the_wrong_ones(tmp_path: Path) -> None:
    with running_gateway(tmp_path, FRAUD) as gateway:
        elsewhere = GatewayMetrics([gateway.url], namespace="elsewhere")
        with pytest.raises(UnavailableError, match="proxyStatsMatcher"):
            elsewhere.read("fraud", [FRAUD])
