"""What can go wrong between a client and a registry; :class:`FaultProxy` makes it happen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class CutRequest:
    """Reset the connection when ``after`` bytes of the body have passed, at the latest all.

    The registry hears of it first, and what it did with the bytes is over when the client does.
    """

    after: int = 0


@dataclass(frozen=True)
class CutResponse:
    """Break off when ``after`` bytes of the body have passed, at the latest all.

    Without ``reset`` the connection is closed in order, and only the announced length tells.
    """

    after: int = 0
    reset: bool = True


@dataclass(frozen=True)
class Swallow:
    """Let the registry do it and answer; the client hears nothing but a reset."""


@dataclass(frozen=True)
class Stall:
    """Stop sending when ``after`` bytes of the response's body have passed, and stay connected."""

    after: int = 0


@dataclass(frozen=True)
class OtherBytes:
    """Change the body's first byte: its length is right, its digest is not."""


@dataclass(frozen=True)
class Answer:
    """Answer in the registry's place.

    ``at_once`` does so before the body has come and closes then, as a gateway in front does;
    else the body is read and the connection goes on.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    body: bytes = b""
    at_once: bool = False


@dataclass(frozen=True)
class Endless:
    """Answer 200 with a body that does not end, whether its length is announced or not."""

    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True)
class LargestBody:
    """Take bodies that announce up to ``length`` bytes; answer others with ``status`` at once."""

    length: int
    status: int = 413


@dataclass(frozen=True)
class ChangeHeaders:
    """Set header fields of the registry's response, or remove those that are ``None``."""

    fields: Mapping[str, str | None]


@dataclass(frozen=True)
class MoveLocation:
    """Put another ``scheme://host:port`` into the response's ``Location``, and keep its path."""

    to: str


Fault = (
    CutRequest
    | CutResponse
    | Swallow
    | Stall
    | OtherBytes
    | Answer
    | Endless
    | LargestBody
    | ChangeHeaders
    | MoveLocation
)


def too_many_requests(retry_after: str = "0") -> Answer:
    """Ask to wait: seconds, or an HTTP date."""
    return Answer(429, {"Retry-After": retry_after}, b'{"errors": [{"code": "TOOMANYREQUESTS"}]}')


def redirect(to: str, status: int = 307) -> Answer:
    """Send the client to another URL."""
    return Answer(status, {"Location": to})
