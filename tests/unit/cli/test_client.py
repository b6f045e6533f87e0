import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.cli.client import Client
from pipeline.errors import (
    ConfigurationError,
    ForbiddenError,
    InvalidReferenceError,
    LaurelError,
    UnavailableError,
)
from tests.unit.cli.conftest import Served, laurel, settings_of_fraud


class _Scripted(BaseHTTPRequestHandler):
    answers = (500, b"{}")

    def do_GET(self) -> None:
        status, body = type(self).answers
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def scripted() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Scripted) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (401, b'{"detail": "no token"}', ForbiddenError, "no token"),
        (403, b'{"detail": "only read"}', ForbiddenError, "only read"),
        (409, b'{"detail": "strange"}', UnavailableError, "strange"),
        (422, b'{"detail": "limit: too large"}', InvalidReferenceError, "limit: too large"),
        (503, b'{"detail": "disk full"}', UnavailableError, "disk full"),
        (500, b"{}", UnavailableError, "answers 500"),
        (200, b"<html>", ConfigurationError, "another program"),
        (200, b"[]", ConfigurationError, "another program"),
        (302, b"{}", InvalidReferenceError, "answers 302"),
    ],
)
def test_every_answer_but_the_expected_is_an_error_that_says_why(
    scripted: str, status: int, body: bytes, error: type[LaurelError], said: str
) -> None:
    _Scripted.answers = (status, body)
    with Client(scripted, "token") as client, pytest.raises(error, match=said):
        client.read("services")


def test_a_server_that_hangs_up_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(url, "token") as client, pytest.raises(UnavailableError, match="broke off"):
            client.read("services")
        thread.join()


def test_without_a_server_the_next_step_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    settings_of_fraud(folder, port)
    (folder / "laurel.token").write_text("t\n")
    result = laurel("status")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "start `laurel up`" in result.stderr


@pytest.mark.parametrize("server", ["ftp://127.0.0.1", "127.0.0.1:8080", "http://", "http://["])
def test_what_is_no_address_of_a_server_is_a_mistake_of_the_caller(server: str) -> None:
    with pytest.raises(ConfigurationError, match="http://HOST:PORT"):
        Client(server, "token")


def test_names_with_slashes_stay_one_part_of_the_path(served: Served) -> None:
    assert served.url
    result = laurel("status", "../promotions")
    assert result.exit_code == 2
    assert laurel("status", "a/b?c#d").exit_code == 2


def test_a_token_from_the_environment_needs_no_settings(
    served: Served, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUREL_TOKEN", (folder / "laurel.token").read_text().strip())
    monkeypatch.setenv("LAUREL_SERVER", served.url)
    (folder / "laurel.yaml").unlink()
    assert laurel("status").exit_code == 0


def test_a_wrong_token_is_told_apart_from_an_absent_server(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUREL_TOKEN", "guess")
    result = laurel("status", "--server", served.url)
    assert result.exit_code == 2
    assert "bearer token" in result.stderr


def test_a_stream_that_breaks_off_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/csv; charset=utf-8\r\n"
                    b"Transfer-Encoding: chunked\r\n\r\n3\r\na,b\r\n"
                )

        thread = threading.Thread(target=hang_up)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(url, "token") as client, pytest.raises(UnavailableError, match="broke off"):
            list(client.stream("services", accept="text/csv"))
        thread.join()


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (403, b'{"detail": "only read"}', ForbiddenError, "only read"),
        (503, b'{"detail": "disk full"}', UnavailableError, "disk full"),
        (200, b"{}", ConfigurationError, "another program"),
    ],
)
def test_a_stream_that_does_not_come_says_why(
    scripted: str, status: int, body: bytes, error: type[LaurelError], said: str
) -> None:
    _Scripted.answers = (status, body)
    with Client(scripted, "token") as client, pytest.raises(error, match=said):
        list(client.stream("services", accept="text/csv"))
