"""Laurel's HTTP API, from the caller's side; a "no" is a value, everything else an error."""

import json
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from http import HTTPStatus
from types import TracebackType
from typing import Any, Protocol, Self
from urllib.parse import quote, urlencode

import urllib3

from pipeline.cli.again import LATER, Again
from pipeline.domain.evidence import Refused
from pipeline.errors import (
    ConfigurationError,
    ForbiddenError,
    InvalidReferenceError,
    UnavailableError,
)

_TIMEOUT = urllib3.Timeout(connect=5, read=30)
_NOBODY_THERE = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
)
_PIECE = 1 << 16
_ATTEMPTED = "ask the server"
_DENIED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


class _NobodyError(ConfigurationError):
    """Nobody answers at all: what was asked for was not heard."""


class Tokens(Protocol):
    """Where tokens come from that do not last."""

    def to_read(self) -> str:
        """Lend one that is good now."""

    def to_change(self) -> str:
        """Lend one that no change was made with."""


class Client:
    """A server and the token to call it with; use it as a context.

    Parameters
    ----------
    server
        ``http://host:port``, as `laurel up` printed it.
    token
        A bearer token, or what lends some; sent to this server alone, redirects are not followed.
    again
        How it waits before it asks for a change again; default: not at all.

    Raises
    ------
    ConfigurationError
        Where ``server`` is no URL of http or https.

    """

    def __init__(self, server: str, token: str | Tokens, again: Again | None = None) -> None:
        self.server = _address(server)
        self._again = again or Again(lambda _why: None, waits=())
        self._tokens = token
        self._headers = {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "laurel-cli",
        }
        self._pool = urllib3.PoolManager(timeout=_TIMEOUT, retries=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.clear()

    def read(self, *path: str, **query: object) -> Any:  # noqa: ANN401 - JSON
        """Read something; the parts of the path are names as people write them.

        Raises
        ------
        ConfigurationError
            Where nobody answers, or another program does.
        InvalidReferenceError
            Where the server knows nothing of that name, or cannot read it.
        ForbiddenError
            Where the token does not allow it.
        UnavailableError
            Where the server cannot answer now.

        """
        answer = self._answer(self._request("GET", self._url(path, query), self._headers))
        if isinstance(answer, Refused):
            raise UnavailableError(_ATTEMPTED, self.server, answer.reason)
        return answer

    def stream(self, *path: str, accept: str, **query: object) -> Iterator[bytes]:
        """Read something large, piece by piece, in the form that ``accept`` names.

        It is whole when the pieces end: what broke off raises, as does all else that :meth:`read`
        raises at.
        """
        url = self._url(path, query)
        headers = self._headers | {"Accept": accept}
        with closing(self._request("GET", url, headers, preload_content=False)) as response:
            if response.status != HTTPStatus.OK:
                self._answer(response)
            if response.headers.get("Content-Type", "").partition(";")[0] != accept:
                raise self._another_program(response.status)
            try:
                yield from response.stream(_PIECE)
            except urllib3.exceptions.HTTPError as error:
                raise self._broke_off(error) from error

    def change(self, method: str, *path: str, body: object = None, **query: object) -> Any:  # noqa: ANN401 - JSON or Refused
        """Change something, once; :class:`Refused` where it cannot be (409).

        Where the answer is lost, or there is none now, it is asked for again under the same key,
        so that the server does it once. Raises as :meth:`read`.
        """
        url, content = self._url(path, query), None if body is None else json.dumps(body)
        headers = self._headers | {"Idempotency-Key": str(uuid.uuid4())}
        asked_before = False
        for wait in self._again.waits:
            try:
                response = self._request(method, url, headers, content)
            except _NobodyError:
                if not asked_before:
                    raise
                self._again.after(wait, f"nobody answers at {self.server} now")
            except UnavailableError as error:
                self._again.after(wait, error.hint)
            else:
                if response.status not in LATER:
                    return self._answer(response)
                why = f"{self.server} answers {response.status}"
                self._again.after(wait, why, response.headers)
            asked_before = True
        return self._answer(self._request(method, url, headers, content))

    def _url(self, path: tuple[str, ...], query: dict[str, object]) -> str:
        url = "/".join([self.server, *(quote(part, safe="") for part in path)])
        said = {name: value for name, value in query.items() if value is not None}
        return f"{url}?{urlencode(said)}" if said else url

    def _request(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        body: str | None = None,
        *,
        preload_content: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        headers = headers | {"Authorization": f"Bearer {self._token(method)}"}
        try:
            return self._pool.request(
                method, url, headers=headers, body=body, preload_content=preload_content
            )
        except _NOBODY_THERE as error:
            raise _NobodyError(
                f"nobody answers at {self.server}: start `laurel up`, or name the server by"
                " --server or LAUREL_SERVER"
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise self._broke_off(error) from error

    def _token(self, method: str) -> str:
        if isinstance(self._tokens, str):
            return self._tokens
        return self._tokens.to_read() if method == "GET" else self._tokens.to_change()

    def _broke_off(self, error: Exception) -> UnavailableError:
        return UnavailableError(_ATTEMPTED, self.server, f"the call broke off: {error}")

    def _another_program(self, status: int) -> ConfigurationError:
        return ConfigurationError(
            f"{self.server} answers {status}, but not as Laurel does: is it another program's"
            " address?"
        )

    def _answer(self, response: urllib3.BaseHTTPResponse) -> Any:  # noqa: ANN401 - JSON or Refused
        content = self._content(response)
        if response.status < HTTPStatus.MULTIPLE_CHOICES:
            return content
        detail = str(content.get("detail", f"it answers {response.status}"))
        if response.status == HTTPStatus.CONFLICT:
            return Refused(detail)
        if response.status in _DENIED:
            raise ForbiddenError(_ATTEMPTED, self.server, detail)
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise UnavailableError(_ATTEMPTED, self.server, detail)
        raise InvalidReferenceError(detail)

    def _content(self, response: urllib3.BaseHTTPResponse) -> dict[str, Any]:
        try:
            content = json.loads(response.data)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise self._another_program(response.status)
        return content


def _address(server: str) -> str:
    with suppress(urllib3.exceptions.LocationParseError):
        parsed = urllib3.util.parse_url(server)
        if parsed.scheme in {"http", "https"} and parsed.host:
            return server.rstrip("/")
    raise ConfigurationError(f"{server[:200]!r} is no server's address: write http://HOST:PORT")
