"""MLflow's REST API: one door for HTTP to the tracking server, with no ``mlflow`` import.

Importing ``mlflow`` costs over a second and hundreds of megabytes; the API is JSON over HTTP.
Errors name what was read, never the server's URL (it may hold credentials).
"""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

import urllib3

from pipeline.errors import (
    ConfigurationError,
    ForbiddenError,
    NotFoundError,
    PermanentError,
    RateLimitedError,
    UnavailableError,
)
from pipeline.proxies import Pools

_TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)
_LARGEST_ANSWER = 64 << 20
_WORKSPACE_HEADER = "X-MLFLOW-WORKSPACE"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Headers that tell MLflow, or a proxy before it, who is asking; never printed."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def basic(cls, username: str, password: str) -> Self:
        """Log in with the name and password of MLflow's ``basic-auth`` app."""
        pair = base64.b64encode(f"{username}:{password}".encode()).decode()
        return cls({"Authorization": f"Basic {pair}"})

    @classmethod
    def bearer(cls, token: str) -> Self:
        """Present a token to a proxy or to an authentication plug-in."""
        return cls({"Authorization": f"Bearer {token}"})


@dataclass(frozen=True, slots=True)
class Rejection:
    """MLflow's "no" to one call: HTTP status and its own error code."""

    status: int
    code: str
    message: str


class MlflowRest:
    """Calls to one MLflow server.

    Parameters
    ----------
    url
        Where the server listens, as ``http(s)://host[:port][/prefix]``; credentials in it are
        refused.
    credentials
        Sent with every call, and to nobody else: redirects are not followed.

    """

    def __init__(self, url: str, credentials: Credentials | None = None) -> None:
        try:
            parsed = urllib3.util.parse_url(url)
        except urllib3.exceptions.LocationParseError as error:
            raise ConfigurationError("mlflow.url is no URL: write http(s)://host[:port]") from error
        if parsed.auth:
            raise ConfigurationError(
                "mlflow.url holds credentials: write them as LAUREL_MLFLOW__USERNAME and __PASSWORD"
            )
        if parsed.scheme not in {"http", "https"} or not parsed.host:
            raise ConfigurationError("mlflow.url must be http(s)://host[:port]")
        self.host = parsed.netloc
        self._url = url.rstrip("/")
        self._credentials = credentials or Credentials()
        self._pools = Pools(maxsize=8, retries=False, timeout=_TIMEOUT)

    def serves(self, url: str) -> bool:
        """Whether a URL without credentials is this server's own."""
        return url.rstrip("/") == self._url

    def close(self) -> None:
        """Close every connection."""
        self._pools.close()

    def get(
        self, path: str, query: dict[str, str], workspace: str, *, attempted: str, subject: str
    ) -> dict[str, Any] | Rejection:
        """Read JSON; what MLflow rejects (4xx but 401, 403, 429) is returned, not raised."""
        with self.open(
            "GET", path, workspace, attempted=attempted, subject=subject, fields=query
        ) as response:
            return _answer(response, attempted, subject)

    def post(
        self, path: str, body: dict[str, str], workspace: str, *, attempted: str, subject: str
    ) -> dict[str, Any] | Rejection:
        """Write JSON; what MLflow rejects is returned, not raised."""
        return self.send("POST", path, body, workspace, attempted=attempted, subject=subject)

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object],
        workspace: str,
        *,
        attempted: str,
        subject: str,
        patience: float | None = None,
    ) -> dict[str, Any] | Rejection:
        """Send JSON by any method, and wait so many seconds for the answer."""
        parts: dict[str, Any] = {"json": dict(body)}
        if patience is not None:
            parts["timeout"] = urllib3.Timeout(connect=5.0, read=patience)
        with self.open(
            method, path, workspace, attempted=attempted, subject=subject, **parts
        ) as response:
            return _answer(response, attempted, subject)

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        workspace: str,
        *,
        attempted: str,
        subject: str,
        **parts: Any,  # noqa: ANN401 - passed on to urllib3, which types them so
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        """Send one request and lend its unread response; raise where nobody can answer."""
        headers = dict(self._credentials.headers)
        if workspace:
            headers[_WORKSPACE_HEADER] = workspace
        if "json" in parts:
            headers["Content-Type"] = "application/json"
        try:
            response = self._pools.request(
                method,
                self._url + path,
                headers=headers,
                preload_content=False,
                redirect=False,
                **parts,
            )
        except urllib3.exceptions.HTTPError as error:
            raise _unavailable(attempted, subject, type(error).__name__) from error
        try:
            _refuse_useless(response, attempted, subject)
            yield response
        except urllib3.exceptions.HTTPError as error:
            raise _unavailable(attempted, subject, type(error).__name__) from error
        finally:
            response.close()


def accepted(answer: dict[str, Any] | Rejection, *, attempted: str, subject: str) -> dict[str, Any]:
    """Return an answer that was not rejected; raise ``NotFoundError`` or ``PermanentError``."""
    if not isinstance(answer, Rejection):
        return answer
    said = f"MLflow answers {answer.status} {answer.code}: {answer.message[:200]}"
    if answer.status == HTTPStatus.NOT_FOUND:
        raise NotFoundError(attempted, subject, said)
    raise PermanentError(attempted, subject, said)


def _unavailable(attempted: str, subject: str, what: str) -> UnavailableError:
    return UnavailableError(
        attempted, _in_mlflow(subject), f"it does not answer ({what}); start it or mend mlflow.url"
    )


def _in_mlflow(subject: str) -> str:
    """Name the neighbour with the subject: it is what a waiting promotion says it waits for."""
    return f"MLflow, {subject}"


def _refuse_useless(response: urllib3.BaseHTTPResponse, attempted: str, subject: str) -> None:
    status = response.status
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise ForbiddenError(attempted, subject, _forbidden_hint(response))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        raise RateLimitedError(
            attempted,
            _in_mlflow(subject),
            "it asks for fewer requests",
            retry_after=_seconds(response),
        )
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise UnavailableError(
            attempted,
            _in_mlflow(subject),
            f"it answers {status}; look at its log",
            retry_after=_seconds(response),
        )
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise PermanentError(
            attempted, subject, f"mlflow.url redirects ({status}): write the address it leads to"
        )


def _forbidden_hint(response: urllib3.BaseHTTPResponse) -> str:
    if b"Invalid Host header" in response.read(4096):
        return (
            "MLflow refuses the Host name it was called by: "
            "its owner must start it with --allowed-hosts naming the host of mlflow.url"
        )
    if response.status == HTTPStatus.UNAUTHORIZED:
        return "MLflow wants credentials: set LAUREL_MLFLOW__USERNAME and __PASSWORD, or __TOKEN"
    return (
        "MLflow forbids it: give Laurel's user READ on the model and its experiment, "
        "and EDIT on the model to write tags"
    )


def _seconds(response: urllib3.BaseHTTPResponse) -> float | None:
    wait = response.headers.get("Retry-After", "")
    return float(wait) if wait.isdecimal() else None


def _answer(
    response: urllib3.BaseHTTPResponse, attempted: str, subject: str
) -> dict[str, Any] | Rejection:
    body = response.read(_LARGEST_ANSWER + 1)
    parsed: Any = None
    if len(body) <= _LARGEST_ANSWER:
        try:
            parsed = json.loads(body)
        except ValueError:
            parsed = None
    if response.status >= HTTPStatus.BAD_REQUEST:
        said = parsed if isinstance(parsed, dict) else {}
        return Rejection(
            response.status, str(said.get("error_code", "")), str(said.get("message", ""))
        )
    if not isinstance(parsed, dict):
        raise PermanentError(
            attempted, subject, "the answer is not MLflow's JSON: does mlflow.url lead to MLflow?"
        )
    return parsed
