"""HTTP to a pod's own address: timed as a whole, bounded, and without a proxy or a redirect."""

import http.client
import ipaddress
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pipeline.errors import UnavailableError


def ask(
    address: str,
    target: str,
    *,
    port: int,
    body: bytes | None = None,
    timeout: float,
    limit: int,
) -> tuple[int, bytes]:
    """GET, or POST a body of JSON; return the status and at most ``limit`` bytes of the answer.

    ``address`` is an IP address, as a pod's status has it.

    Raises
    ------
    UnavailableError
        Where nobody listens, or the whole answer took longer than ``timeout`` seconds, however
        slowly it trickled.

    """
    connection = http.client.HTTPConnection(_numeric(address), port, timeout=timeout)
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        connection.connect()
        with _hung_up_after(timeout, connection.sock) as late:
            connection.request("GET" if body is None else "POST", target, body, headers)
            response = connection.getresponse()
            answer = response.status, response.read(limit)
            if late.is_set():
                raise TimeoutError(f"not complete after {timeout:g} s")
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError("ask", f"{address} for {target}", f"no answer ({error})") from error
    finally:
        connection.close()
    return answer


@contextmanager
def _hung_up_after(seconds: float, stream: socket.socket) -> Iterator[threading.Event]:
    """End the connection when the time is over, and say that it was."""
    late = threading.Event()

    def hang_up() -> None:
        late.set()
        with suppress(OSError):  # the other side was faster
            stream.shutdown(socket.SHUT_RDWR)

    clock = threading.Timer(seconds, hang_up)
    clock.start()
    try:
        yield late
    finally:
        clock.cancel()


def _numeric(address: str) -> str:
    """Refuse what is no address: a name would be looked up, and might mean anybody."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError as error:
        raise UnavailableError("ask", address[:64], "a pod has no such address") from error
