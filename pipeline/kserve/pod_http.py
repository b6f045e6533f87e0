"""HTTP to a pod's own address: timed as a whole, bounded, and without a proxy or a redirect."""

import http.client
import ipaddress
import socket
import threading
from contextlib import suppress

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
    clock = threading.Timer(timeout, _hang_up, [connection])
    headers = {"Content-Type": "application/json"} if body is not None else {}
    try:
        connection.connect()
        clock.start()
        connection.request("GET" if body is None else "POST", target, body, headers)
        response = connection.getresponse()
        answer = response.status, response.read(limit)
        if clock.finished.is_set():
            raise TimeoutError(f"not complete after {timeout:g} s")
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError("ask", f"{address} for {target}", f"no answer ({error})") from error
    finally:
        clock.cancel()
        connection.close()
    return answer


def _numeric(address: str) -> str:
    """Refuse what is no address: a name would be looked up, and might mean anybody."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError as error:
        raise UnavailableError("ask", address[:64], "a pod has no such address") from error


def _hang_up(connection: http.client.HTTPConnection) -> None:
    with suppress(OSError, AttributeError):  # it was over just before
        connection.sock.shutdown(socket.SHUT_RDWR)
