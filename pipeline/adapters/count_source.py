"""HTTP to where request counts are: a Prometheus, a gateway's Envoy. Bounded in bytes and in time.

Errors name the server by host and port; its token is in none of them.
"""

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import urllib3
from urllib3.exceptions import HTTPError, LocationParseError, SSLError
from urllib3.util import Url, parse_url

from pipeline.distribution.connections import trust
from pipeline.errors import (
    ConfigurationError,
    ForbiddenError,
    PermanentError,
    RateLimitedError,
    UnavailableError,
)
from pipeline.proxies import Pools

ATTEMPTED = "read request counts"
_TIMEOUT = urllib3.Timeout(connect=3.0, read=15.0)
_SECONDS = 30.0
"""That one answer may take, however slowly it trickles."""
_PORTS = {"http": 80, "https": 443}
_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Place:
    """One address that is asked; ``name`` tells it from the others."""

    name: str
    url: str
    headers: Mapping[str, str]


class CountSource:
    """One server that counts requests.

    Parameters
    ----------
    url
        As ``http(s)://host[:port][/prefix]``; credentials in it are refused.
    called
        What people call it: ``"Prometheus"``.
    token
        Sent as a bearer token, and to nobody else: redirects are not followed.
    ca_file
        PEM certificates to trust beside the system's own.

    """

    def __init__(
        self, url: str, *, called: str, token: str | None = None, ca_file: Path | None = None
    ) -> None:
        self._url = _parsed(url)
        self.name = f"{called} at {self._url.netloc}"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._pools = Pools(
            maxsize=4,
            retries=False,
            timeout=_TIMEOUT,
            ssl_context=trust(ca_file, "metrics.ca_file"),
        )

    def close(self) -> None:
        """Close every connection."""
        self._pools.close()

    def whole(self) -> Place:
        """Name the server by its URL alone."""
        return Place(self._url.netloc or "", self._url.url, self._headers)

    def places(self, subject: str) -> tuple[Place, ...]:
        """Name each address behind the host, where we connect to it ourselves.

        What a proxy or a certificate's name decides is asked by its URL: one place then.
        """
        host, port = (self._url.host or "").strip("[]"), self._url.port
        if self._url.scheme != "http" or self._pools.way_to("http", host, port or 80):
            return (self.whole(),)
        try:
            found = socket.getaddrinfo(host, port or 80, type=socket.SOCK_STREAM)
        except OSError as error:
            raise self._away(subject, f"its name cannot be resolved ({error.strerror})") from error
        headers = {**self._headers, "Host": self._url.netloc or ""}
        authorities = sorted({_authority(str(to[4][0]), int(to[4][1])) for to in found})
        return tuple(Place(at, f"http://{at}{self._url.path or ''}", headers) for at in authorities)

    @contextmanager
    def ask(
        self,
        place: Place,
        target: str,
        *,
        subject: str,
        fields: Mapping[str, str],
        method: str = "GET",
    ) -> Iterator[Iterator[bytes]]:
        """Send one request, and lend its answer's bytes as they come.

        Raises
        ------
        UnavailableError, RateLimitedError
            Where it does not answer now.
        ForbiddenError, PermanentError
            Where it won't, or is another kind of server.

        """
        try:
            response = self._pools.request(
                method,
                place.url.rstrip("/") + target,
                fields=dict(fields),
                headers=dict(place.headers),
                redirect=False,
                preload_content=False,
                **({"encode_multipart": False} if method == "POST" else {}),
            )
        except HTTPError as error:
            raise self._away(subject, _why(error)) from error
        try:
            self._refuse_useless(response, subject)
            yield self._pieces(response, subject)
        except HTTPError as error:
            raise self._away(subject, _why(error)) from error
        finally:
            response.close()

    def nonsense(self, subject: str, what: str) -> PermanentError:
        """Say that the answer is not what such a server says."""
        return PermanentError(
            ATTEMPTED, f"{subject}, {self.name}", f"{what}: does metrics.url lead to the right one?"
        )

    def _pieces(self, response: urllib3.BaseHTTPResponse, subject: str) -> Iterator[bytes]:
        end = time.monotonic() + _SECONDS
        while piece := response.read1(_CHUNK):  # what is there: read() would wait for a full chunk
            yield piece
            if time.monotonic() > end:
                raise self._away(subject, f"its answer is not complete after {_SECONDS:.0f} s")

    def _refuse_useless(self, response: urllib3.BaseHTTPResponse, subject: str) -> None:
        status = response.status
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise ForbiddenError(
                ATTEMPTED,
                f"{subject}, {self.name}",
                f"it answers {status}: give metrics.token the right to query it",
            )
        if status == HTTPStatus.TOO_MANY_REQUESTS:
            raise RateLimitedError(
                ATTEMPTED, f"{subject}, {self.name}", "it asks for fewer requests"
            )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise self._away(subject, f"it answers {status}")
        if status != HTTPStatus.OK:
            said = response.read(200, decode_content=True).decode(errors="replace").strip()
            raise self.nonsense(subject, f"it answers {status} {said!r}")

    def _away(self, subject: str, why: str) -> UnavailableError:
        return UnavailableError(
            ATTEMPTED, f"{subject}, {self.name}", f"{why}; start it or mend metrics.url"
        )


def _parsed(url: str) -> Url:
    try:
        parsed = parse_url(url)
    except LocationParseError as error:
        raise ConfigurationError("metrics.url is no URL: write http(s)://host[:port]") from error
    if parsed.auth:
        raise ConfigurationError("metrics.url holds credentials: write them as metrics.token")
    if parsed.scheme not in _PORTS or not parsed.host or parsed.query or parsed.fragment:
        raise ConfigurationError("metrics.url must be http(s)://host[:port][/prefix]")
    return parsed


def _authority(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _why(error: HTTPError) -> str:
    if isinstance(error, SSLError):
        return "its certificate is not trusted (metrics.ca_file names the CA)"
    return f"it does not answer ({type(error).__name__})"
