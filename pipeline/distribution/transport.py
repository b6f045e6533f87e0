"""Sends requests to registries: TLS, who is asking, trying again, redirects."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import urllib3

from pipeline.distribution.addresses import Address
from pipeline.distribution.authorization import Authorization, Shown
from pipeline.distribution.connections import Call, Connections, let_go, trust
from pipeline.distribution.credentials import Credentials
from pipeline.distribution.redirects import MOST, redirected, redirects, too_many
from pipeline.distribution.refusals import DENIED, forbidden, reason, require_there
from pipeline.distribution.request import Request
from pipeline.distribution.retries import Retries
from pipeline.distribution.schemes import Schemes
from pipeline.errors import ForbiddenError, LaurelError, PermanentError, UnavailableError

_REPEATABLE = frozenset({"GET", "HEAD", "DELETE"})
_AGENT = "laurel"
_HEADER = re.compile(r"[ -~]*\Z")


class Transport:
    """Connections to registries, kept open between requests; threads may share one.

    Parameters
    ----------
    credentials
        Where logins are found.
    ca_file
        PEM certificates of private authorities, trusted beside the system's.
    plain_http
        Hosts, with their ports, that are spoken to without TLS; loopback may be.
    retries
        How what failed is sent again.

    Raises
    ------
    ConfigurationError
        Where ``ca_file`` or ``plain_http`` cannot be used.

    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        ca_file: Path | None = None,
        plain_http: Iterable[str] = (),
        retries: Retries | None = None,
    ) -> None:
        context = trust(ca_file)
        self._connections = Connections(context)
        self._schemes = Schemes(plain_http, context)
        self._retries = retries or Retries()
        self._authorization = Authorization(credentials, self._schemes, self._send)

    @contextmanager
    def open(self, request: Request) -> Iterator[urllib3.BaseHTTPResponse]:
        """Send a request and lend its response, whose body the caller reads as far as it wants.

        Lent are 2xx and every 4xx that may have a meaning for the caller (400, 404, 405, 416, …).
        GET, HEAD, DELETE and a POST without a body are sent again, up to four times in all.

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
            A redirect that is not followed, or a certificate that nobody vouches for.
        CorruptedError
            The body is not as long as the request says.

        """
        asked = self._address(request)
        response = self._answered(request, asked)
        try:
            yield response
        except urllib3.exceptions.HTTPError as error:
            what = f"its answer broke off ({type(error).__name__})"
            raise UnavailableError(request.attempted, asked.authority, what) from error
        finally:
            let_go(response)

    def close(self) -> None:
        """Close every connection."""
        self._connections.close()

    def _answered(self, request: Request, asked: Address) -> urllib3.BaseHTTPResponse:
        """Send a request until its answer is one for the caller."""
        shown = self._authorization.show(request, asked)
        response = self._ask(request, asked, shown)
        if response.status in DENIED:
            with _released(response):
                shown = self._authorization.show_again(request, asked, response, shown)
            response = self._ask(request, asked, shown)
        here, hops = asked, 0
        while redirects(response):
            with _released(response):
                if hops == MOST:
                    raise too_many(request, asked)
                here = redirected(request, here, response, self._schemes)
            hops += 1
            response = self._ask(request, here, shown if here.origin == asked.origin else Shown())
        try:
            _require_lendable(request, asked, here, response, shown)
        except LaurelError:
            let_go(response)
            raise
        return response

    def _address(self, request: Request) -> Address:
        """Say where a request goes; a target that its registry named must be on that registry."""
        at_root = self._schemes.address(request.host, "/")
        there = at_root and at_root.leads_to(request.target)
        if at_root is None or there is None:
            hint = f"{request.host[:200]} or the address that it names is no URL"
            raise PermanentError(request.attempted, request.subject, hint)
        if there.party != at_root.party:
            hint = f"{request.host} redirects to another host, {there.authority}; ask its owner"
            raise PermanentError(request.attempted, request.subject, hint)
        # Behind a proxy that ends TLS, registries name themselves with http: no reason to drop it.
        return replace(there, scheme=at_root.scheme, port=at_root.port)

    def _ask(self, request: Request, address: Address, shown: Shown) -> urllib3.BaseHTTPResponse:
        headers = {**_headers(request), "User-Agent": _AGENT}
        if shown.header:
            headers["Authorization"] = shown.header
        return self._send(
            Call(
                request.method,
                address,
                headers,
                request.attempted,
                request.subject,
                request.body,
                request.size,
                request.patience,
                request.once,
            )
        )

    def _send(self, call: Call) -> urllib3.BaseHTTPResponse:
        repeatable = call.method in _REPEATABLE or (call.method == "POST" and call.body is None)
        try:
            return self._retries.answer(
                partial(self._connections.send, call), repeatable=repeatable and not call.once
            )
        except UnavailableError:
            self._schemes.forget(call.address)
            raise


def _require_lendable(
    request: Request,
    asked: Address,
    here: Address,
    response: urllib3.BaseHTTPResponse,
    shown: Shown,
) -> None:
    """Raise for what is no answer to the caller."""
    require_there(response, request.attempted, here.authority)
    if response.status not in DENIED:
        return
    why = reason(response)
    if here.origin == asked.origin and shown.login is not None:
        raise forbidden(request, shown.login, why)
    hint = f"{here.authority}, where {request.host} sends readers, answers {response.status}"
    raise ForbiddenError(request.attempted, request.subject, f"{hint}{why and f': {why}'}")


def _headers(request: Request) -> Mapping[str, str]:
    """Return the request's headers, if what registries and images say in them can be sent."""
    if not all(map(_HEADER.match, request.headers.values())):
        raise PermanentError(
            request.attempted, request.subject, "a header would hold what no header may hold"
        )
    return request.headers


@contextmanager
def _released(response: urllib3.BaseHTTPResponse) -> Iterator[None]:
    try:
        yield
    finally:
        let_go(response)
