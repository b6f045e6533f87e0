"""Sends requests to registries: connections, who is asking, trying again, redirects."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

import urllib3

from pipeline.distribution.credentials import Credentials
from pipeline.distribution.request import Request
from pipeline.errors import ForbiddenError, RateLimitedError, UnavailableError


class Transport:
    """Connections to registries, kept open between requests.

    Parameters
    ----------
    credentials
        Where logins are found.
    ca_file
        PEM certificates of private authorities, trusted beside the system's.
    plain_http
        Hosts, with their ports, that are spoken to without TLS.

    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        ca_file: Path | None = None,
        plain_http: Iterable[str] = (),
    ) -> None:
        self._credentials = credentials
        self._plain = frozenset(plain_http)
        self._pool = urllib3.PoolManager(retries=False, ca_certs=ca_file and str(ca_file))

    @contextmanager
    def open(self, request: Request) -> Iterator[urllib3.BaseHTTPResponse]:
        """Send a request and lend its response, whose body the caller reads as far as it wants.

        Lent are 2xx and every 4xx that may have a meaning for the caller (400, 404, 405, 416, …).

        Raises
        ------
        ForbiddenError
            401 and 403: who was refused what.
        RateLimitedError
            429, when short waits did not help.
        UnavailableError
            5xx and broken connections, when short waits did not help or a body was sent. Also
            where the connection breaks while the caller reads.
        PermanentError
            A redirect that is not followed.

        """
        scheme = "http" if request.host in self._plain else "https"
        try:
            response = self._pool.request(
                request.method,
                f"{scheme}://{request.host}{request.target}",
                body=request.body() if request.body else None,
                headers={**request.headers, "Content-Length": str(request.size)},
                preload_content=False,
                redirect=False,
                timeout=request.patience,
            )
        except urllib3.exceptions.HTTPError as error:
            raise UnavailableError(request.attempted, request.host, type(error).__name__) from error
        try:
            if response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
                raise ForbiddenError(request.attempted, request.subject, "refused")
            if response.status == HTTPStatus.TOO_MANY_REQUESTS:
                raise RateLimitedError(request.attempted, request.host, "asks for fewer requests")
            if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise UnavailableError(request.attempted, request.host, str(response.status))
            yield response
        finally:
            response.close()

    def close(self) -> None:
        """Close every connection."""
        self._pool.clear()
