"""HTTP/1.1 on a socket, byte for byte: heads and bodies are read as they came, to be sent on."""

import fcntl
import select
import socket
import struct
import termios
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

_PIECE = 1 << 16
_RESET = struct.pack("ii", 1, 0)
_PATIENCE = 30.0


class CutShortError(Exception):
    """A body ended before its end."""


@dataclass(frozen=True)
class Head:
    """A request line or status line with its header fields; ``raw`` is what was on the wire."""

    raw: bytes
    start: str
    fields: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        """Read a header field, ``""`` where it is not there."""
        return next((value for key, value in self.fields if key.lower() == name), "")

    @property
    def status(self) -> int:
        """The status of a response."""
        return int(self.start.split(" ")[1])

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks, and tells its length by ending."""
        return "chunked" in self.get("transfer-encoding").lower()

    @property
    def length(self) -> int | None:
        """The announced length of the body."""
        announced = self.get("content-length")
        return int(announced) if announced and not self.chunked else None

    def changed(self, fields: Mapping[str, str | None]) -> "Head":
        """Set some fields, or remove those that are ``None``."""
        names = {name.lower() for name in fields}
        kept = [(key, value) for key, value in self.fields if key.lower() not in names]
        return head_of(self.start, [*kept, *((k, v) for k, v in fields.items() if v is not None)])


@dataclass(frozen=True)
class Piece:
    """Some bytes of a body, between the bytes that frame them where the body is chunked."""

    data: bytes
    before: bytes = b""
    after: bytes = b""

    @property
    def raw(self) -> bytes:
        return self.before + self.data + self.after


def head_of(start: str, fields: list[tuple[str, str]]) -> Head:
    """Write a head."""
    lines = [start, *(f"{name}: {value}" for name, value in fields), "", ""]
    return Head("\r\n".join(lines).encode("latin-1"), start, tuple(fields))


def at_most(pieces: Iterator[Piece], count: int) -> Iterator[Piece]:
    """Pass so many bytes on, then say :class:`CutShortError`; at the latest at the body's end."""
    for piece in pieces:
        if len(piece.data) >= count:
            if count:
                yield Piece(piece.data[:count], piece.before)
            break
        count -= len(piece.data)
        yield piece
    raise CutShortError


class Wire:
    """One connection: read by one thread, written by one thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._stream = connection.makefile("rb")

    def head(self) -> Head | None:
        """Read a head; ``None`` where the other side has left."""
        lines = []
        with suppress(ConnectionError):
            while line := self._stream.readline(_PIECE):
                lines.append(line)
                if line == b"\r\n":
                    break
        if not lines or lines[-1] != b"\r\n":
            return None
        start, *fields = (line.decode("latin-1").rstrip("\r\n") for line in lines[:-1])
        parted = ((name, value.strip()) for name, _, value in (f.partition(":") for f in fields))
        return Head(b"".join(lines), start, tuple(parted))

    def body(self, head: Head, *, to_the_end: bool = False) -> Iterator[Piece]:
        """Read a body as it arrives; ``to_the_end`` of the connection if nothing says how long."""
        if head.chunked:
            yield from self._chunks()
        elif head.length is not None or not to_the_end:
            yield from map(Piece, self._exactly(head.length or 0))
        else:
            while data := self._stream.read1(_PIECE):
                yield Piece(data)

    def _exactly(self, length: int) -> Iterator[bytes]:
        while length:
            data = self._stream.read1(min(length, _PIECE))
            if not data:
                raise CutShortError
            length -= len(data)
            yield data

    def _chunks(self) -> Iterator[Piece]:
        while size := self._stream.readline(_PIECE):
            length = int(size.split(b";")[0], 16)
            if not length:
                yield Piece(b"", size + b"".join(iter(self._stream.readline, b"\r\n")), b"\r\n")
                return
            before = size
            for data in self._exactly(length):
                length -= len(data)
                yield Piece(data, before, b"" if length else self._stream.readline())
                before = b""
        raise CutShortError

    def send(self, data: bytes) -> None:
        """Write all of it."""
        self._socket.sendall(data)

    def finish(self) -> None:
        """Say that no more is coming."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def deaf(self) -> None:
        """Wake the thread that reads; there is nothing to read any more."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def drain(self) -> None:
        """Read until the other side has closed."""
        with suppress(OSError):
            while self._stream.read1(_PIECE):
                pass

    def reset(self) -> None:
        """Close with a TCP reset, once the other side has all that was sent."""
        self._settle()
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def _settle(self) -> None:
        """Wait until nothing sent is on its way, for a reset would take it back, or nobody is."""
        deadline, gone = time.monotonic() + _PATIENCE, select.poll()
        gone.register(self._socket, 0)
        with suppress(OSError):
            while any(fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4))):
                if gone.poll(1) or time.monotonic() > deadline:
                    return

    def close(self) -> None:
        self._stream.close()
        self._socket.close()
