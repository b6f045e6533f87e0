"""Requests to one API server: timed, bounded, counted, sent once, answered with our errors."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

import urllib3

from pipeline.errors import ConfigurationError, ForbiddenError, PermanentError
from pipeline.kserve.api_errors import Answer, Asked, refusal, unreachable

CONNECT, READ = 10.0, 40.0  # seconds; a webhook of the server's may take 30 of them
_WHOLE = 60.0  # seconds for all of an answer: one byte at a time would never end
_LARGEST = 32 << 20
_CHUNK = 1 << 16
_LONGEST_WAIT = 3600.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request; ``counted`` is what it counts as: a verb and a plural."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    counted: tuple[str, str]
    asked: Asked
    body: Any = None
    content_type: str = "application/json"


class Client(Protocol):
    """Sends one request with a login; ``address`` is where to, without credentials."""

    @property
    def address(self) -> str:
        """Name the server."""

    def send(self, call: Call, timeout: tuple[float, float]) -> urllib3.BaseHTTPResponse:
        """Send, not reading the answer; urllib3's errors where there is none."""


class ApiServer:
    """One API server.

    Parameters
    ----------
    login
        Reads the login as it is now, and makes a client of it.

    """

    def __init__(self, login: Callable[[], Client]) -> None:
        self._login = login
        self._client = login()
        self._counting = threading.Lock()
        self.address = self._client.address
        self.calls: Counter[tuple[str, str]] = Counter()

    def answer(self, call: Call) -> Answer:
        """Send, and read the answer to its end."""
        response = self._sent(call, READ)
        try:
            return _read(response, call.asked)
        finally:
            response.close()  # read to its end, the connection is kept and not closed

    @contextmanager
    def stream(self, call: Call, silence: float) -> Iterator[Iterator[bytes]]:
        """Send, and lend what comes, piece by piece, until nothing did for ``silence`` seconds."""
        response = self._sent(call, silence)
        try:
            if response.status != HTTPStatus.OK:
                raise refusal(_read(response, call.asked), call.asked)
            yield _pieces(response, call.asked)
        finally:
            response.close()

    def _sent(self, call: Call, silence: float) -> urllib3.BaseHTTPResponse:
        """Send; where the login is not accepted, once more with the login as it is by now.

        Tokens in files, certificates and what login programs give are renewed by others.
        """
        response = self._send(call, silence)
        if response.status != HTTPStatus.UNAUTHORIZED:
            return response
        response.close()
        try:
            self._client = self._login()
        except ConfigurationError as error:  # it could be read at start-up
            hint = f"the login cannot be read any more: {error}"
            raise ForbiddenError(call.asked.attempted, call.asked.subject, hint) from error
        return self._send(call, silence)

    def _send(self, call: Call, silence: float) -> urllib3.BaseHTTPResponse:
        with self._counting:
            self.calls[call.counted] += 1
        try:
            return self._client.send(call, (CONNECT, silence))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(error, call.asked) from error


def _read(response: urllib3.BaseHTTPResponse, asked: Asked) -> Answer:
    end = time.monotonic() + _WHOLE
    body = bytearray()
    for piece in _pieces(response, asked):
        body += piece
        if len(body) > _LARGEST:
            hint = f"{asked.server} answers with more than {_LARGEST >> 20} MiB"
            raise PermanentError(asked.attempted, asked.subject, hint)
        if time.monotonic() > end:
            raise unreachable(TimeoutError("a whole minute for one answer"), asked)
    return Answer(response.status, bytes(body), _retry_after(response))


def _pieces(response: urllib3.BaseHTTPResponse, asked: Asked) -> Iterator[bytes]:
    try:
        while piece := response.read1(_CHUNK):
            yield piece
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise unreachable(error, asked) from error


def _retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    """Read ``Retry-After``, which an API server says in seconds."""
    said = response.headers.get("Retry-After", "").strip()
    return min(float(said), _LONGEST_WAIT) if said.isascii() and said.isdigit() else None
