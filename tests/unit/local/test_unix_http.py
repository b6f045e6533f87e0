import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.errors import UnavailableError
from pipeline.local import unix_http
from pipeline.local.unix_http import ask, listen

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def answering(path: Path, answer: bytes, *, then_hang: bool = False) -> Iterator[list[bytes]]:
    """Answer one request, closing the connection or leaving it hang."""
    asked: list[bytes] = []
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            request = b""
            while not request.endswith(b"{}" if b"POST" in request else b"\r\n\r\n"):
                request += connection.recv(65536)
            asked.append(request)
            connection.sendall(answer)
            if then_hang:
                over.wait(30)

    with listen(path) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield asked
        over.set()
        thread.join()


def test_a_deep_path_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    folder.mkdir(parents=True)
    with answering(folder / "model.sock", ANSWER) as asked:
        assert ask(folder / "model.sock", "/v2/health/ready") == (200, b"ok")
    assert asked[0].startswith(b"GET /v2/health/ready HTTP/1.1\r\n")


def test_a_body_is_sent_as_json(tmp_path: Path) -> None:
    with answering(tmp_path / "s", ANSWER) as asked:
        ask(tmp_path / "s", "/invocations", method="POST", body=b"{}")
    assert b"Content-Type: application/json" in asked[0]


def test_only_this_user_may_connect(tmp_path: Path) -> None:
    with listen(tmp_path / "s"):
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600


def test_listening_again_replaces_a_socket_that_a_crash_left(tmp_path: Path) -> None:
    listen(tmp_path / "s").close()
    with answering(tmp_path / "s", ANSWER):
        assert ask(tmp_path / "s", "/")[0] == 200


def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"model\.sock"):
        ask(tmp_path / "model.sock", "/")


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", b"HTTP/1.1 200 OK\r\n\r\nok"]
)
def test_an_answer_that_never_ends_is_unavailable(answer: bytes, tmp_path: Path) -> None:
    with (
        answering(tmp_path / "s", answer, then_hang=True),
        pytest.raises(UnavailableError),
    ):
        ask(tmp_path / "s", "/", timeout=0.1)


def test_what_was_cut_off_is_not_taken_for_the_whole_while_the_clock_still_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang_up, over = unix_http._hang_up, threading.Event()

    def hang_up_and_stay(stream: socket.socket, late: threading.Event) -> None:
        hang_up(stream, late)
        over.wait(30)

    monkeypatch.setattr(unix_http, "_hang_up", hang_up_and_stay)
    endless = b"HTTP/1.1 200 OK\r\n\r\nok"
    with answering(tmp_path / "s", endless, then_hang=True), pytest.raises(UnavailableError):
        ask(tmp_path / "s", "/", timeout=0.1)
    over.set()


def test_what_is_not_http_is_unavailable(tmp_path: Path) -> None:
    with answering(tmp_path / "s", b"SSH-2.0\r\n\r\n"), pytest.raises(UnavailableError):
        ask(tmp_path / "s", "/")


def test_a_long_answer_is_cut(tmp_path: Path) -> None:
    with answering(tmp_path / "s", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n" + b"x" * 99):
        assert ask(tmp_path / "s", "/", limit=10) == (200, b"x" * 10)


def test_a_listener_handed_to_untrusted_code_cannot_be_connected(tmp_path: Path) -> None:
    with (
        listen(tmp_path / "s") as listener,
        listen(tmp_path / "other"),
        pytest.raises(OSError, match="Invalid argument"),
    ):
        listener.connect(str(tmp_path / "other"))
    assert listener.family is socket.AF_UNIX
