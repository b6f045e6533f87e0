"""Requests to pods are bounded in time and size, and go to addresses alone."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from pipeline.errors import UnavailableError
from pipeline.kserve.pod_http import ask


@contextmanager
def server(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def once() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                serve(connection)

        thread = threading.Thread(target=once)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_an_answer_is_cut_at_its_limit() -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123456789")

    with server(serve) as port:
        assert ask("127.0.0.1", "/", port=port, timeout=5, limit=4) == (200, b"1234")


def test_a_redirect_is_an_answer_as_any_other() -> None:
    def serve(connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n"
        )

    with server(serve) as port:
        assert ask("127.0.0.1", "/", port=port, timeout=5, limit=4) == (302, b"")


def test_an_answer_that_trickles_is_given_up() -> None:
    released = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
        while not released.wait(0.02):
            connection.sendall(b"x")

    with server(serve) as port:
        try:
            with pytest.raises(UnavailableError, match="no answer"):
                ask("127.0.0.1", "/", port=port, timeout=0.3, limit=900)
        finally:
            released.set()


def test_what_is_no_http_is_no_answer() -> None:
    with (
        server(lambda connection: connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")) as port,
        pytest.raises(UnavailableError, match="no answer"),
    ):
        ask("127.0.0.1", "/", port=port, timeout=5, limit=4)


@pytest.mark.parametrize("name", ["", "localhost", "metadata.google.internal", "127.0.0.1:80"])
def test_what_is_no_address_is_never_looked_up(name: str) -> None:
    with pytest.raises(UnavailableError, match="no such address"):
        ask(name, "/", port=80, timeout=5, limit=4)
