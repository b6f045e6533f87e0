"""HTTP over Unix sockets: how Laurel speaks with model servers and with Envoy's admin interface.

Unix sockets and not ports, for three reasons: nobody else on this machine can connect; two
services never want the same one; and a listening TCP socket given to untrusted code could be
disconnected (``connect`` with AF_UNSPEC) and connected anywhere, from the network namespace it was
made in.
"""

import http.client
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import UnavailableError

_BACKLOG = 1024
_ANSWER_SECONDS = 60.0  # as long as the front waits for a model
_ANSWER_BYTES = 65536
_LIMIT = 1 << 26  # bytes; Envoy's statistics of many services stay far below


def listen(path: Path) -> socket.socket:
    """Listen on a Unix socket that only this user may connect to, replacing what was there."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    with _short(path) as name:
        listener.bind(name)
    path.chmod(0o600)
    listener.listen(_BACKLOG)
    return listener


def ask(
    path: Path,
    target: str,
    *,
    body: bytes | None = None,
    method: str = "GET",
    timeout: float = 5.0,
    limit: int = _LIMIT,
) -> tuple[int, bytes]:
    """Make one request; return its status and at most ``limit`` bytes of the answer.

    Raises
    ------
    UnavailableError
        Where nobody listens, or the whole answer took longer than ``timeout`` seconds, however
        slowly it trickled.

    """
    connection = http.client.HTTPConnection("localhost", timeout=timeout)
    stream = socket.socket(socket.AF_UNIX)
    late = threading.Event()
    clock = threading.Timer(timeout, _hang_up, [stream, late])
    try:
        stream.settimeout(timeout)
        with _short(path) as name:
            stream.connect(name)
        clock.start()
        connection.sock = stream
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        answer = response.status, response.read(limit)
        if late.is_set():
            raise TimeoutError(f"not complete after {timeout} s")
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(
            "ask", f"{path.name} for {target}", f"no answer ({error!r})"
        ) from error
    finally:
        clock.cancel()
        connection.close()
        stream.close()
    return answer


def invoke(path: Path, body: bytes) -> tuple[int, bytes]:
    """POST ``body`` to a model server's ``/invocations``; raises as :func:`ask` does."""
    return ask(
        path,
        "/invocations",
        method="POST",
        body=body,
        timeout=_ANSWER_SECONDS,
        limit=_ANSWER_BYTES,
    )


def _hang_up(stream: socket.socket, late: threading.Event) -> None:
    late.set()  # before the reader wakes up: what it has then is not the whole answer
    with suppress(OSError):  # it was over just before
        stream.shutdown(socket.SHUT_RDWR)


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Name a path in the 107 bytes that a Unix socket's address has, however deep it lies."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
