"""What every request passes first: its Host, its size; and the headers that every answer carries.

Plain ASGI, because a streamed body must be counted while it arrives.
"""

import asyncio
import ipaddress

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webhook_service.problems import problem

LARGEST_BODY = 1 << 20
"""Bytes; MLflow's largest delivery carries a tag of 5,000 characters."""
PATIENCE = 30.0
"""Seconds that a whole body may take: whoever trickles must not hold memory for ever."""

_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


class Guard:
    """Refuses foreign Host names (DNS rebinding), bodies over 1 MiB and those that trickle in."""

    def __init__(self, app: ASGIApp, allowed_hosts: frozenset[str]) -> None:
        self._app = app
        self._allowed_hosts = allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        protected = _protecting(send)
        host = _host(headers.get("host", ""))
        if host not in self._allowed_hosts and not _is_address(host):
            detail = "The Host header names another machine: add its name to the allowed hosts."
            await problem(400, detail)(scope, receive, protected)
        else:
            await self._app(scope, _bounded(receive, _declared(headers)), protected)


def _host(header: str) -> str:
    bracket = header.rfind("]")  # an IPv6 address has colons of its own
    colon = header.rfind(":")
    return (header[:colon] if colon > bracket else header).lower()


def _is_address(host: str) -> bool:
    """Tell whether the Host is an IP address: no name, so no DNS server could have bound it anew.

    Probes and scrapers of a cluster call a pod by its address, which nobody knows beforehand.
    """
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _declared(headers: Headers) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isascii() and length.isdigit() else 0


def _bounded(receive: Receive, declared: int) -> Receive:
    received, whole = 0, False
    until = asyncio.get_running_loop().time() + PATIENCE

    async def bounded() -> Message:
        nonlocal received, whole
        _require_bounded(declared)  # before a byte of it is read
        message = await (receive() if whole else _before(until, receive))
        whole = not message.get("more_body", False)
        received += len(message.get("body", b""))
        _require_bounded(received)
        return message

    return bounded


async def _before(until: float, receive: Receive) -> Message:
    try:
        async with asyncio.timeout_at(until):
            return await receive()
    except TimeoutError:
        detail = f"The body took longer than {PATIENCE:.0f} s: send it in one piece."
        raise HTTPException(408, detail, {"Connection": "close"}) from None


def _require_bounded(size: int) -> None:
    if size > LARGEST_BODY:
        raise HTTPException(413, "The body is larger than 1 MiB: nothing that Laurel takes is.")


def _protecting(send: Send) -> Send:
    async def protected(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *_HEADERS]
        await send(message)

    return protected
