"""What a server of request counts may answer instead, and what is then said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.adapters.gateway_metrics import GatewayMetrics
from pipeline.adapters.prometheus_metrics import PrometheusMetrics
from pipeline.errors import (
    ConfigurationError,
    ForbiddenError,
    PermanentError,
    RateLimitedError,
    StepError,
    UnavailableError,
)
from tests.servers.ports import free_ports
from tests.servers.scripted import Scripted, scripted_server

TOKEN = "a-token-of-ours"
EMPTY = {"status": "success", "data": {"resultType": "vector", "result": []}}


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted_server() as server:
        yield server


def refusal(server: Scripted) -> StepError:
    """Ask, and return the error: the same of both adapters, and without the token."""
    metrics = PrometheusMetrics(server.url, namespace="ml", token=TOKEN)
    gateway = GatewayMetrics([server.url], namespace="ml", token=TOKEN)
    try:
        with pytest.raises(StepError) as raised:
            metrics.read("fraud", ["fraud-00001"])
        with pytest.raises(type(raised.value)):
            gateway.read("fraud", ["fraud-00001"])
    finally:
        metrics.close()
        gateway.close()
    assert TOKEN not in str(raised.value)
    assert "fraud" in str(raised.value)
    return raised.value


def test_the_token_is_shown_as_a_bearers(server: Scripted) -> None:
    server.says(200, EMPTY)
    refusal(server)
    assert {headers["Authorization"] for _, headers in server.heard} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("status", [401, 403])
def test_who_may_not_ask_is_told_which_setting_says_so(server: Scripted, status: int) -> None:
    server.says(status)
    error = refusal(server)
    assert isinstance(error, ForbiddenError)
    assert "metrics.token" in str(error)


def test_a_server_that_is_asked_too_often_is_asked_later(server: Scripted) -> None:
    server.says(429)
    assert isinstance(refusal(server), RateLimitedError)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_that_cannot_answer_now_is_waited_for(server: Scripted, status: int) -> None:
    server.says(status)
    error = refusal(server)
    assert isinstance(error, UnavailableError)
    assert f"it answers {status}" in str(error)


def test_an_error_of_prometheus_is_told_in_its_own_words(server: Scripted) -> None:
    server.says(422, {"status": "error", "errorType": "execution", "error": "too many samples"})
    error = refusal(server)
    assert isinstance(error, PermanentError)
    assert "too many samples" in str(error)


def test_another_kind_of_server_is_not_waited_for(server: Scripted) -> None:
    server.says(404, b"no such page")
    error = refusal(server)
    assert isinstance(error, PermanentError)
    assert "does metrics.url lead to the right one?" in str(error)


def test_redirects_are_not_followed(server: Scripted) -> None:
    server.says(302, b"", Location="http://127.0.0.1:9/")
    assert isinstance(refusal(server), PermanentError)


def test_nobody_at_the_address_is_waited_for() -> None:
    nobody = Scripted(url=f"http://127.0.0.1:{free_ports(1)[0]}")
    error = refusal(nobody)
    assert isinstance(error, UnavailableError)
    assert "metrics.url" in str(error)


def test_an_answer_that_breaks_off_is_asked_for_again(server: Scripted) -> None:
    server.says(200, EMPTY)
    server.length = len(server.body) + 1
    assert isinstance(refusal(server), UnavailableError)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b"[]",
        b"{}",
        b'{"data": {"resultType": "matrix", "result": []}}',
        b'{"data": {"resultType": "vector", "result": [{"metric": {}, "value": [1, "many"]}]}}',
        b'{"data": {"resultType": "vector", "result": [{"metric": [], "value": [1, "1"]}]}}',
    ],
)
def test_an_answer_that_prometheus_would_not_give_is_refused(server: Scripted, body: bytes) -> None:
    server.says(200, body)
    metrics = PrometheusMetrics(server.url, namespace="ml")
    with pytest.raises(PermanentError, match="not Prometheus' JSON"):
        metrics.read("fraud", ["fraud-00001"])


def test_an_answer_without_an_end_is_not_read_to_it(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.adapters.prometheus_api._LARGEST", 1 << 10)
    server.says(200, b" " * (1 << 12))
    metrics = PrometheusMetrics(server.url, namespace="ml")
    with pytest.raises(PermanentError, match="too long"):
        metrics.read("fraud", ["fraud-00001"])


def test_an_answer_that_never_comes_to_an_end_is_given_up(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.adapters.count_source._SECONDS", 0.0)
    server.says(200, EMPTY)
    assert isinstance(refusal(server), UnavailableError)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://prometheus", r"http\(s\)://host"),
        ("prometheus:9090", r"http\(s\)://host"),
        ("http://", r"http\(s\)://host"),
        ("http://[::1", "no URL"),
        ("http://prometheus:9090/graph?g0=1", r"http\(s\)://host"),
        ("http://me:secret@prometheus:9090", "holds credentials"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_at_the_start(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"metrics\.url.*{said}") as raised:
        PrometheusMetrics(url, namespace="ml")
    assert "secret" not in str(raised.value)


def test_a_ca_file_without_certificates_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ConfigurationError, match=r"metrics\.ca_file"):
        PrometheusMetrics("https://prometheus", namespace="ml", ca_file=tmp_path / "ca.pem")


def test_no_gateway_at_all_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match=r"metrics\.url names no gateway"):
        GatewayMetrics([], namespace="ml")


def test_a_host_that_nobody_knows_is_waited_for() -> None:
    gateway = GatewayMetrics(["http://gateway.invalid:9000"], namespace="ml")
    with pytest.raises(UnavailableError, match="cannot be resolved"):
        gateway.read("fraud", ["fraud-00001"])


def test_a_gateway_behind_a_proxy_is_asked_by_its_name(
    server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    server.says(200, b'envoy_cluster_upstream_rq_total{envoy_cluster_name="ml/fraud-00001"} 0\n')
    gateway = GatewayMetrics(["http://gateway.invalid:9000"], namespace="ml")
    assert list(gateway.read("fraud", ["fraud-00001"])["fraud-00001"]) == ["gateway.invalid:9000"]


@pytest.mark.parametrize(
    "body",
    [
        b'envoy_cluster_upstream_rq_total{envoy_cluster_name="ml/fraud-00001"} many\n',
        b'envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name="ml/fraud-00001"} 1\n',
        b'envoy_cluster_upstream_rq_total{envoy_cluster_name="ml/fraud-00001"} +Inf\n',
        b"\xff\n",
        b"x" * (1 << 21),
    ],
)
def test_statistics_that_envoy_would_not_write_are_refused(server: Scripted, body: bytes) -> None:
    server.says(200, body)
    with pytest.raises(PermanentError, match="not Envoy's statistics"):
        GatewayMetrics([server.url], namespace="ml").read("fraud", ["fraud-00001"])
