"""Connections: kept, closed behind our back, cut, and answered before all was sent."""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.distribution.credentials import Credentials
from pipeline.distribution.request import Request
from pipeline.distribution.retries import Retries
from pipeline.distribution.transport import Transport
from pipeline.errors import PermanentError, UnavailableError
from tests.servers.certificates import private_certificate
from tests.unit.distribution.raw_server import Serve, answer, head, raw_server
from tests.unit.distribution.scene import BLOB, PULL

_RESET = struct.pack("ii", 1, 0)
_LARGE = 64 << 20
"""More than any socket's buffers hold: who sends that much notices that nobody reads."""


class Line:
    """A client and the server that it speaks to."""

    def __init__(self, host: str, transport: Transport) -> None:
        self.host = host
        self.transport = transport

    def ask(self, method: str = "GET", **parts: object) -> tuple[int, bytes]:
        """Send a request; return the whole answer."""
        said = {"attempted": "read a layer", "subject": "ml/fraud", **parts}
        request = Request(method, self.host, BLOB, PULL, **said)  # type: ignore[arg-type]  # fields of a request
        with self.transport.open(request) as response:
            return response.status, response.read()

    def send(self, size: int = _LARGE) -> tuple[int, bytes]:
        """Send a large body."""
        piece = bytes(1 << 20)
        return self.ask("PATCH", body=lambda: (piece for _ in range(size >> 20)), size=size)


@contextmanager
def line(
    serve: Serve, tls: ssl.SSLContext | None = None, ca_file: Path | None = None
) -> Iterator[Line]:
    """Start a server and a client of it."""
    with raw_server(serve, tls) as host:
        plain = () if tls else (host,)
        retries = Retries(lambda _: None)
        transport = Transport(Credentials({}), ca_file=ca_file, plain_http=plain, retries=retries)
        try:
            yield Line(host, transport)
        finally:
            transport.close()


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a server's context and the authority that vouches for it."""
    made = private_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    return context, made.ca_file


def polite(connection: socket.socket, number: int) -> None:
    while True:
        said = head(connection)
        answer(connection, "200 OK", b"" if said.startswith(b"HEAD") else str(number).encode())


def test_one_connection_serves_request_after_request() -> None:
    with line(polite) as to:
        assert [to.ask()[1], to.ask("HEAD")[1], to.ask()[1]] == [b"1", b"", b"1"]


def test_one_tls_connection_serves_request_after_request(tls: tuple[ssl.SSLContext, Path]) -> None:
    with line(polite, *tls) as to:
        assert {to.ask()[1] for _ in range(3)} <= {b"1", b"2"}  # the first only says who is there


def test_an_answer_that_nobody_read_leaves_the_connection_in_order() -> None:
    with line(polite) as to:
        request = Request("GET", to.host, BLOB, PULL, "read", "x")
        for _ in range(2):
            with to.transport.open(request):
                pass
        assert to.ask() == (200, b"1")


def test_a_long_answer_that_nobody_reads_is_not_read_to_its_end() -> None:
    def endless(connection: socket.socket, number: int) -> None:
        head(connection)
        if number > 1:
            return answer(connection, "200 OK", b"second")
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        while True:
            connection.sendall(bytes(1 << 16))

    with line(endless) as to:
        request = Request("GET", to.host, BLOB, PULL, "read", "x")
        with to.transport.open(request) as response:
            assert len(response.read(10)) == 10
        assert to.ask() == (200, b"second")


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST"])
@pytest.mark.parametrize("reset", [False, True])
def test_an_idle_connection_that_was_closed_is_no_error(method: str, *, reset: bool) -> None:
    closed = threading.Event()

    def impatient(connection: socket.socket, number: int) -> None:
        head(connection)
        answer(connection, "200 OK")
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.close()
        del number
        closed.set()

    with line(impatient) as to:
        for _ in range(3):
            assert to.ask(method)[0] == 200
            closed.wait()
            closed.clear()


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "POST"])
def test_an_idle_connection_that_is_closed_by_the_request_is_no_error(method: str) -> None:
    def surprised(connection: socket.socket, number: int) -> None:
        head(connection)
        answer(connection, "200 OK")
        if number == 1:
            head(connection)
        else:
            polite(connection, number)

    with line(surprised) as to:
        assert [to.ask(method)[0] for _ in range(3)] == [200, 200, 200]


def early(connection: socket.socket, number: int) -> None:
    """Answer a body of which only the beginning has come, and leave."""
    del number
    head(connection)
    answer(connection, "413 Content Too Large", b"too large", "Connection: close")
    if not isinstance(connection, ssl.SSLSocket):
        connection.shutdown(socket.SHUT_WR)
    connection.recv(1 << 16)


def test_an_answer_that_comes_before_all_was_sent_is_read() -> None:
    with line(early) as to:
        assert to.send() == (413, b"too large")
        assert to.send() == (413, b"too large")


def test_an_answer_over_tls_that_comes_before_all_was_sent_is_read(
    tls: tuple[ssl.SSLContext, Path],
) -> None:
    with line(early, *tls) as to:
        assert to.send() == (413, b"too large")


def test_a_server_that_leaves_while_we_send_is_unavailable() -> None:
    def gone(connection: socket.socket, number: int) -> None:
        del number
        head(connection)
        connection.recv(1 << 16)

    with line(gone) as to, pytest.raises(UnavailableError, match="it does not answer") as caught:
        to.send()
    assert caught.value.subject == to.host


def test_a_slow_server_has_as_long_to_read_as_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.distribution.connections._CONNECT", 0.5)
    released = threading.Event()

    def slow(connection: socket.socket, number: int) -> None:
        del number
        head(connection)
        released.wait()
        left = _LARGE
        while left:
            left -= len(connection.recv(1 << 20))
        answer(connection, "202 Accepted")

    with line(slow) as to:
        threading.Timer(1.0, released.set).start()
        assert to.send()[0] == 202


def test_who_is_silent_for_longer_than_a_request_is_patient_is_unavailable() -> None:
    released = threading.Event()

    def silent(connection: socket.socket, number: int) -> None:
        del number
        head(connection)
        released.wait(30)

    with line(silent) as to:
        with pytest.raises(UnavailableError, match="ReadTimeoutError"):
            to.ask("PUT", patience=0.2)
        released.set()


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    def short(connection: socket.socket, number: int) -> None:
        del number
        head(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")

    with line(short) as to, pytest.raises(UnavailableError, match="its answer broke off") as caught:
        to.ask()
    assert caught.value.subject == to.host


def test_an_answer_that_nobody_reads_may_break_off() -> None:
    def short(connection: socket.socket, number: int) -> None:
        del number
        head(connection)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\nshort")

    with line(short) as to:
        request = Request("GET", to.host, BLOB, PULL, "read", "x")
        for _ in range(2):
            with to.transport.open(request) as response:
                assert response.status == 404


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_http_is_no_answer(said: bytes) -> None:
    def nonsense(connection: socket.socket, number: int) -> None:
        del number
        head(connection)
        connection.sendall(said)

    with line(nonsense) as to, pytest.raises(UnavailableError, match="it does not answer"):
        to.ask()


def test_a_certificate_that_nobody_vouches_for_ends_the_attempt(
    tls: tuple[ssl.SSLContext, Path],
) -> None:
    with (
        line(polite, tls[0]) as to,
        pytest.raises(PermanentError, match=r"certificate is not trusted \(.*registry\.ca_file"),
    ):
        to.ask()


def test_a_certificate_of_another_name_ends_the_attempt(tmp_path: Path) -> None:
    made = private_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with line(polite, context, made.ca_file) as to:
        to.host = to.host.replace("127.0.0.1", "[::ffff:127.0.0.1]")
        with pytest.raises(PermanentError, match=r"not trusted \(.*IP address mismatch"):
            to.ask()
