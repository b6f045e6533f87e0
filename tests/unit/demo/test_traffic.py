import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.demo.traffic import Answer, Seen, Traffic

REVISIONS = {"200": "fraud-00001", "500": "fraud-00002"}


class _Front(BaseHTTPRequestHandler):
    """Answers 200 and 500 in turn, and hangs up on every fifth request."""

    protocol_version = "HTTP/1.1"
    hosts: list[str] = []  # noqa: RUF012 - one per test, set by _front
    connections: list[int] = []  # noqa: RUF012 - as above

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.hosts.append(self.headers["Host"])
        self.connections.append(self.client_address[1])
        number = len(self.hosts)
        if number % 5 == 0:
            self.close_connection = True
            return
        status = 500 if number % 2 else 200
        self.send_response(status)
        self.send_header("x-laurel-revision", REVISIONS[str(status)])
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Say nothing."""


@contextmanager
def _front() -> Iterator[ThreadingHTTPServer]:
    _Front.hosts, _Front.connections = [], []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Front) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _after(traffic: Traffic, requests: int) -> Seen:
    deadline = time.monotonic() + 20
    while (now := traffic.between(0, time.monotonic())).requests < requests:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
    return now


@pytest.fixture(scope="module")
def seen() -> Seen:
    """Let the clients ask a front that misbehaves, and count what they saw."""
    with _front() as server:
        traffic = Traffic(server.server_port, "fraud")
        assert not traffic.running()
        traffic.start()
        assert traffic.running()
        _after(traffic, 60)
        traffic.stop()
        assert not traffic.running()
        return traffic.between(0, time.monotonic())


def test_every_answer_is_counted_by_the_revision_that_gave_it(seen: Seen) -> None:
    assert set(seen.by_revision) == {"fraud-00001", "fraud-00002", None}
    assert sum(seen.by_revision.values()) == seen.requests


def test_a_connection_that_is_cut_and_a_5xx_are_failures_and_nothing_else_is(seen: Seen) -> None:
    assert set(seen.failed_by_revision) == {"fraud-00002", None}
    assert seen.failed == seen.by_revision["fraud-00002"] + seen.by_revision[None]


def test_the_service_is_named_by_the_host_header(seen: Seen) -> None:
    assert seen.requests
    assert set(_Front.hosts) == {"fraud"}


def test_connections_are_kept_between_requests(seen: Seen) -> None:
    assert len(set(_Front.connections)) < seen.requests / 2


def test_stopping_what_never_started_is_fine() -> None:
    Traffic(1, "fraud").stop()


def test_only_what_was_sent_in_a_stretch_of_time_counts() -> None:
    traffic = Traffic(1, "fraud")
    traffic._answers = [Answer(sent, 0.1, 200, "r") for sent in (1.0, 2.0, 3.0)]
    assert traffic.between(1.0, 3.0).requests == 2


def test_p99_is_of_the_slowest() -> None:
    answers = [Answer(0.0, milliseconds / 1000, 200, "r") for milliseconds in range(100)]
    assert Seen.of(answers).p99_ms == 99.0


def test_nothing_seen_is_no_ones_alone() -> None:
    assert not Seen.of([]).only("r")
    assert Seen.of([Answer(0, 0, 200, "r")]).only("r")
    assert not Seen.of([Answer(0, 0, 200, "r"), Answer(0, 0, None, None)]).only("r")
