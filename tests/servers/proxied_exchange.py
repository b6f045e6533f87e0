"""One request and its response on their way through the proxy, and what is done to them."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from http import HTTPStatus
from urllib.parse import urlsplit

from tests.servers.faults import (
    Answer,
    ChangeHeaders,
    CutRequest,
    CutResponse,
    Endless,
    Fault,
    LargestBody,
    MoveLocation,
    OtherBytes,
    Stall,
    Swallow,
)
from tests.servers.http_wire import CutShortError, Head, Piece, Wire, at_most, head_of

_SECRET = {"authorization", "proxy-authorization", "cookie"}


@dataclass
class Recorded:
    """A request that came, without its secrets: of credentials, only the scheme.

    ``headers`` have lower-case names. ``body_length`` counts the bytes of the body that passed, and
    ``status`` is what the client was told, ``None`` where it was told nothing.
    """

    method: str
    path: str
    headers: dict[str, str]
    body_length: int = 0
    status: int | None = None


class Then(Enum):
    """What becomes of the client's connection."""

    GOES_ON = auto()
    CLOSED = auto()
    RESET = auto()


def recorded(head: Head) -> Recorded:
    """Note a request that begins."""
    method, path, _ = head.start.split(" ", 2)
    headers = {name.lower(): value for name, value in head.fields}
    for name in headers.keys() & _SECRET:
        scheme, blank, _ = headers[name].partition(" ")
        headers[name] = f"{scheme if blank and name != 'cookie' else ''} ...".strip()
    return Recorded(method, path, headers)


class Exchange:
    """A request whose head was read, and the client that waits for its response."""

    def __init__(self, client: Wire, head: Head, note: Recorded) -> None:
        self._client = client
        self._head = head
        self._note = note
        self._cut = False

    def answered(self, fault: Fault | None) -> Then | None:
        """Answer here what the registry is not asked; ``None`` where it is."""
        if isinstance(fault, LargestBody) and (self._head.length or 0) > fault.length:
            fault = Answer(fault.status, at_once=True)
        if isinstance(fault, Endless):
            return self._endless(fault)
        return self._answer(fault) if isinstance(fault, Answer) else None

    def forwarded(self, upstream: Wire, fault: Fault | None) -> Then:
        """Ask the registry, with both directions open at once."""
        if isinstance(fault, CutRequest) and not self._head.chunked:
            whole = fault.after >= (self._head.length or 0)
            fault = Swallow() if whole else fault  # the registry has everything, so it may end
        sender = threading.Thread(target=self._send, args=(upstream, fault))
        sender.start()
        then = Then.RESET
        try:
            then = self._receive(upstream, fault)
        finally:
            if then is Then.RESET:
                self._client.deaf()
            elif then is Then.CLOSED:
                self._client.finish()
            sender.join()
        return then

    def _answer(self, said: Answer) -> Then:
        if not said.at_once:
            self._read_body()
        phrase = HTTPStatus(said.status).phrase
        fields = [*said.headers.items(), ("Content-Length", str(len(said.body)))]
        if said.at_once:
            fields.append(("Connection", "close"))
        self._note.status = said.status
        head = head_of(f"HTTP/1.1 {said.status} {phrase}", fields)
        self._client.send(head.raw + (b"" if self._note.method == "HEAD" else said.body))
        return Then.CLOSED if said.at_once else Then.GOES_ON

    def _endless(self, fault: Endless) -> Then:
        self._read_body()
        announced = {name.lower() for name in fault.headers} & {"content-length"}
        fields = [*fault.headers.items()]
        if not announced:
            fields.append(("Transfer-Encoding", "chunked"))
        self._note.status = 200
        self._client.send(head_of("HTTP/1.1 200 OK", fields).raw)
        data = bytes(1 << 16)
        with suppress(OSError):
            while True:
                self._client.send(data if announced else b"10000\r\n" + data + b"\r\n")
        return Then.RESET

    def _read_body(self) -> None:
        for piece in self._client.body(self._head):
            self._note.body_length += len(piece.data)

    def _send(self, upstream: Wire, fault: Fault | None) -> None:
        body = self._client.body(self._head)
        if isinstance(fault, CutRequest):
            body = at_most(body, fault.after)
        try:
            upstream.send(self._head.raw)
            for piece in body:
                self._note.body_length += len(piece.data)  # first: the answer may come at once
                upstream.send(piece.raw)
        except CutShortError:
            self._cut = True
            upstream.finish()
        except OSError:
            upstream.finish()  # who left first is seen by the thread that receives

    def _receive(self, upstream: Wire, fault: Fault | None) -> Then:
        head = upstream.head()
        while head is not None and head.status < HTTPStatus.OK:
            self._client.send(head.raw)
            head = upstream.head()
        if self._cut:
            upstream.drain()
            return Then.RESET
        if head is None:
            return Then.CLOSED
        bodiless = self._note.method == "HEAD" or head.status in {204, 304}
        to_the_end = not (head.chunked or bodiless or head.length is not None)
        body = iter(()) if bodiless else upstream.body(head, to_the_end=to_the_end)
        if isinstance(fault, Swallow):
            for _ in body:
                pass
            return Then.RESET
        self._note.status = head.status
        self._client.send(_spoilt_head(head, fault).raw)
        try:
            for piece in _spoilt_body(body, fault):
                self._client.send(piece.raw)
        except CutShortError:
            return self._broken_off(fault)
        said = (head.get("connection") + self._head.get("connection")).lower()
        return Then.CLOSED if to_the_end or "close" in said else Then.GOES_ON

    def _broken_off(self, fault: Fault | None) -> Then:
        if isinstance(fault, Stall):
            self._client.drain()
        return Then.RESET if isinstance(fault, CutResponse) and fault.reset else Then.CLOSED


def _spoilt_head(head: Head, fault: Fault | None) -> Head:
    if isinstance(fault, ChangeHeaders):
        return head.changed(fault.fields)
    if isinstance(fault, MoveLocation) and head.get("location"):
        there = urlsplit(fault.to)
        moved = urlsplit(head.get("location"))._replace(scheme=there.scheme, netloc=there.netloc)
        return head.changed({"Location": moved.geturl()})
    return head


def _spoilt_body(body: Iterator[Piece], fault: Fault | None) -> Iterator[Piece]:
    if isinstance(fault, CutResponse | Stall):
        return at_most(body, fault.after)
    return _other(body) if isinstance(fault, OtherBytes) else body


def _other(body: Iterator[Piece]) -> Iterator[Piece]:
    for piece in body:
        yield replace(piece, data=bytes([piece.data[0] ^ 1]) + piece.data[1:])
        break
    yield from body
