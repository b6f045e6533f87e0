"""Asking one revision through a gateway: a server on loopback that answers as Envoy does."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.kserve import asking
from pipeline.kserve.asking import Gateway

ADDRESS = "http://latest-fraud-predictor.ml.example.com"
UPSTREAM = {"x-envoy-upstream-service-time": "3"}


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers what the server says, and notes what it was asked."""

    protocol_version = "HTTP/1.1"
    server: "Envoy"

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.path, self.headers["Host"], body))
        self.send_response(self.server.status)
        for name, said in self.server.said.items():
            self.send_header(name, said)
        self.send_header("Content-Length", str(self.server.length))
        self.end_headers()
        self.wfile.write(self.server.body)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Envoy(http.server.ThreadingHTTPServer):
    """What is asked and what is answered."""

    def __init__(self, status: int, said: dict[str, str], body: bytes, short: int) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.status, self.said, self.body = status, said, body
        self.length = len(body) + short
        self.asked: list[tuple[str, str, bytes]] = []


@contextmanager
def envoy(
    status: int = 200, said: dict[str, str] | None = None, body: bytes = b"{}", short: int = 0
) -> Iterator[tuple[Envoy, Gateway]]:
    server = Envoy(status, UPSTREAM if said is None else said, body, short)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        with closing(Gateway(f"http://127.0.0.1:{server.server_port}/")) as gateway:
            yield server, gateway
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_revision_is_asked_by_its_own_name_at_the_gateways_address() -> None:
    with envoy(body=b'{"predictions": [1]}') as (server, gateway):
        assert gateway.ask(ADDRESS, b"body") == (200, b'{"predictions": [1]}')
    assert server.asked == [("/invocations", "latest-fraud-predictor.ml.example.com", b"body")]


@pytest.mark.parametrize("status", [404, 503, 400, 500])
def test_what_the_model_answers_is_given_as_it_is(status: int) -> None:
    with envoy(status) as (_, gateway):
        assert gateway.ask(ADDRESS, b"")[0] == status


@pytest.mark.parametrize("status", [404, 503])
def test_what_the_gateway_itself_answers_is_no_answer(status: int) -> None:
    with (
        envoy(status, {}) as (_, gateway),
        pytest.raises(UnavailableError, match=f"the gateway answers {status} for it"),
    ):
        gateway.ask(ADDRESS, b"")


def test_no_more_than_64_kib_of_an_answer_are_read() -> None:
    with envoy(body=b"x" * 200_000) as (_, gateway):
        assert len(gateway.ask(ADDRESS, b"")[1]) == 65536


def test_an_answer_that_breaks_off_is_none() -> None:
    with (
        envoy(short=10) as (_, gateway),
        pytest.raises(UnavailableError, match="the answer broke off"),
    ):
        gateway.ask(ADDRESS, b"")


def test_an_answer_that_trickles_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_WHOLE", -1.0)
    with (
        envoy(body=b"x" * 100) as (_, gateway),
        pytest.raises(UnavailableError, match="the answer broke off"),
    ):
        gateway.ask(ADDRESS, b"")


def test_nobody_at_the_gateways_address_is_told() -> None:
    with envoy() as (server, _):
        port = server.server_port
    with (
        closing(Gateway(f"http://127.0.0.1:{port}")) as gateway,
        pytest.raises(UnavailableError, match=f"nobody answers at http://127.0.0.1:{port}"),
    ):
        gateway.ask(ADDRESS, b"")


def test_without_a_gateways_address_the_revisions_own_is_used() -> None:
    with envoy() as (server, _), closing(Gateway()) as gateway:
        gateway.wake(f"http://127.0.0.1:{server.server_port}/")
    assert server.asked == [("/v2/health/ready", f"127.0.0.1:{server.server_port}", b"")]


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"serving\.gateway"):
        Gateway("gateway:8080")
