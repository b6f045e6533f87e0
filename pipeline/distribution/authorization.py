"""Says who asks: what each registry wanted to know the first time, it is told at once from then on.

Basic and Bearer, as docker does: https://distribution.github.io/distribution/spec/auth/token/
"""

import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

import urllib3

from pipeline.distribution.addresses import Address
from pipeline.distribution.challenges import Challenge, challenges, usable
from pipeline.distribution.credentials import Credentials
from pipeline.distribution.login import Login
from pipeline.distribution.refusals import forbidden, reason
from pipeline.distribution.request import Request
from pipeline.distribution.schemes import Schemes
from pipeline.distribution.tokens import Send, Wallet, get_token
from pipeline.errors import ForbiddenError, PermanentError

_BEARER = "Bearer "


@dataclass(frozen=True, slots=True)
class Shown:
    """What one request said of who asks; ``header`` is ``""`` for nothing."""

    header: str = field(default="", repr=False)
    login: Login | None = None


@dataclass(slots=True)
class _Registry:
    """What is known of one registry; whoever asks for a token holds the lock."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    challenge: Challenge | None = None
    wallet: Wallet = field(default_factory=Wallet)


class Authorization:
    """Decides what a request says of who asks.

    Parameters
    ----------
    credentials
        Where logins are found.
    schemes
        Which realms may be asked without TLS.
    send
        Sends a call to whoever gives out tokens.

    """

    def __init__(self, credentials: Credentials, schemes: Schemes, send: Send) -> None:
        self._credentials = credentials
        self._schemes = schemes
        self._send = send
        self._registries: defaultdict[str, _Registry] = defaultdict(_Registry)

    def show(self, request: Request, address: Address) -> Shown:
        """Say what a registry wanted to know before; nothing to one that never asked."""
        registry = self._registries[request.host]
        with registry.lock:
            if registry.challenge is None:
                return Shown()
            login = self._login(request)
            try:
                return self._shown(request, address, registry.challenge, login)
            except ForbiddenError:
                fresh = self._login(request, fresh=True)
                if fresh == login:
                    raise
            return self._shown(request, address, registry.challenge, fresh)

    def show_again(
        self,
        request: Request,
        address: Address,
        response: urllib3.BaseHTTPResponse,
        before: Shown,
    ) -> Shown:
        """Say what a refused request (401, 403) should have said.

        Raises
        ------
        ForbiddenError
            Where nothing better is known.

        """
        given = challenges(response.headers.getlist("WWW-Authenticate"))
        why, challenge = reason(response), usable(given)
        registry = self._registries[request.host]
        with registry.lock:
            login = self._login(request, fresh=True)  # a password may have changed since
            if response.status == HTTPStatus.FORBIDDEN and before.login is not None:
                if login == before.login:
                    raise forbidden(request, login, why)
                challenge = challenge or registry.challenge
            if challenge is None:
                raise _speechless(request, before.login, given, why)
            registry.challenge = challenge
            registry.wallet.drop(before.header.removeprefix(_BEARER))
            now = self._shown(request, address, challenge, login)
        if now.header in {"", before.header}:
            raise forbidden(request, login, why)
        return now

    def _login(self, request: Request, *, fresh: bool = False) -> Login:
        """Find the login for the repository that the request is about, the first it names."""
        path = request.scopes[0].repository if request.scopes else ""
        return self._credentials.login(request.host, path, fresh=fresh)

    def _shown(
        self, request: Request, address: Address, challenge: Challenge, login: Login
    ) -> Shown:
        if challenge.scheme == "basic":
            return Shown(login.basic, login)
        if login.registry_token:
            return Shown(_BEARER + login.registry_token, login)
        wallet = self._registries[request.host].wallet
        token = wallet.find(login, request.scopes)
        if token is None:
            realm = self._realm(request, address, challenge)
            token, lifetime = get_token(challenge, realm, login, request, send=self._send)
            wallet.keep(token, login, request.scopes, lifetime)
        return Shown(_BEARER + token, login)

    def _realm(self, request: Request, address: Address, challenge: Challenge) -> Address:
        realm = Address.parse(challenge.parameters["realm"])
        if realm is None:
            hint = f"{request.host} names a token server that is no URL: ask its owner"
        elif self._schemes.misleads(realm, address):
            hint = (
                f"{request.host} would have its credentials sent to {realm.authority}, which only "
                "this machine reaches: ask its owner, or name that host in registry.plain_http"
            )
        elif self._schemes.allow(realm, address):
            return realm
        else:
            hint = (
                f"{request.host} would have its credentials sent to {realm.authority} without TLS: "
                "ask its owner, or name that host in registry.plain_http"
            )
        raise PermanentError(request.attempted, request.subject, hint)


def _speechless(
    request: Request, login: Login | None, given: Iterable[Challenge], why: str
) -> ForbiddenError:
    """Make the error for a registry that cannot be told in any way that we know."""
    ways = ", ".join(sorted({challenge.scheme[:40] for challenge in given}))
    if login is not None and not ways:
        return forbidden(request, login, why)
    way = f"asks for {ways}, and Laurel speaks Basic and Bearer" if ways else "asks for no login"
    said = f" ({why})" if why else ""
    return ForbiddenError(
        request.attempted, request.subject, f"{request.host} refuses it{said} and {way}"
    )
