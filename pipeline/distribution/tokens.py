"""Bearer tokens, got from where a registry says (distribution's token authentication, and OAuth2).

Credentials of a registry go to the realm that it names, over TLS, and to nobody else.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import urllib3

from pipeline.distribution.addresses import Address
from pipeline.distribution.challenges import Challenge
from pipeline.distribution.connections import Call, let_go
from pipeline.distribution.login import VISIBLE, Login
from pipeline.distribution.refusals import DENIED, forbidden, reason, refusal, require_there
from pipeline.distribution.request import Request, Scope
from pipeline.errors import PermanentError, UnavailableError

_CLIENT = "laurel"
_LARGEST_ANSWER = 1 << 20
_USUAL_LIFETIME = 60.0
_LONGEST_LIFETIME = 86_400.0
_MARGIN = 10.0
_MOST = 100
_NO_OAUTH2 = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}

Send = Callable[[Call], urllib3.BaseHTTPResponse]


@dataclass(frozen=True, slots=True)
class Token:
    """A token, whom it was given to, for what, and until when."""

    text: str = field(repr=False)
    login: Login
    scopes: tuple[Scope, ...]
    until: float

    def covers(self, login: Login, scopes: Iterable[Scope]) -> bool:
        """Tell whether it was given to this login for all of this; it may be for more."""
        return login == self.login and all(map(self._covers, scopes))

    def _covers(self, wanted: Scope) -> bool:
        given = (s.actions for s in self.scopes if s.repository == wanted.repository)
        return set(wanted.actions) <= {action for actions in given for action in actions}


class Wallet:
    """The tokens of one registry that are still good.

    Parameters
    ----------
    now
        Tells the time that passes, in seconds.

    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._tokens: list[Token] = []

    def find(self, login: Login, scopes: Iterable[Scope]) -> str | None:
        """Find a token; the newest one, which was asked for most precisely."""
        scopes, now = tuple(scopes), self._now()
        found = (t.text for t in self._tokens if t.until > now and t.covers(login, scopes))
        return next(found, None)

    def keep(self, text: str, login: Login, scopes: tuple[Scope, ...], lifetime: float) -> None:
        """Keep a token until shortly before its end."""
        now = self._now()
        good = [token for token in self._tokens if token.until > now]
        until = now + lifetime - _MARGIN
        self._tokens = [Token(text, login, scopes, until), *good][:_MOST]

    def drop(self, text: str) -> None:
        """Throw away a token that was refused."""
        self._tokens = [token for token in self._tokens if token.text != text]


def get_token(
    challenge: Challenge, realm: Address, login: Login, request: Request, *, send: Send
) -> tuple[str, float]:
    """Get a token for what a request needs, and how many seconds it lasts.

    What the registry itself named comes first: some token servers look no further.

    Raises
    ------
    ForbiddenError
        Who was refused.
    UnavailableError, RateLimitedError
        Whoever gives out tokens is away.
    PermanentError
        It answers with something else.

    """
    named = challenge.parameters.get("scope", "").split()
    scopes = list(dict.fromkeys([*named, *map(str, request.scopes)]))
    service = challenge.parameters.get("service")
    asked = [("service", service)] if service else []
    if login.identity_token:
        said = [("grant_type", "refresh_token"), ("refresh_token", login.identity_token)]
        form = [*said, ("client_id", _CLIENT), *asked, ("scope", " ".join(scopes))]
        call = _post(realm, urlencode(form).encode(), request)
        response = send(call)
        if response.status not in _NO_OAUTH2:
            return _token(response, call, login, request)
        let_go(response)
    call = _get(realm, urlencode([*asked, *(("scope", s) for s in scopes)]), login, request)
    return _token(send(call), call, login, request)


def _post(realm: Address, form: bytes, about: Request) -> Call:
    call = Call("POST", realm, _FORM, about.attempted, about.subject, lambda: (form,), len(form))
    return _as_patient(call, about)


def _get(realm: Address, query: str, login: Login, about: Request) -> Call:
    target = f"{realm.target}{'&' if '?' in realm.target else '?'}{query}"
    there = Address(realm.scheme, realm.host, realm.port, target)
    headers = {"Authorization": login.basic} if login.basic else {}
    return _as_patient(Call("GET", there, headers, about.attempted, about.subject), about)


def _as_patient(call: Call, about: Request) -> Call:
    """Ask for a token no longer than for what it is needed for."""
    return replace(call, patience=min(call.patience, about.patience), once=about.once)


def _token(
    response: urllib3.BaseHTTPResponse, call: Call, login: Login, request: Request
) -> tuple[str, float]:
    host = call.address.authority
    try:
        if response.status in DENIED or (call.body and response.status == HTTPStatus.BAD_REQUEST):
            by = f"{host}, which gives out tokens for {request.host},"
            raise forbidden(request, login, reason(response), by=by)
        require_there(response, call.attempted, host)
        if response.status != HTTPStatus.OK:
            raise refusal(response, call.attempted, call.subject, host)
        answer = _parsed(_whole(response))
    except urllib3.exceptions.HTTPError as error:
        what = f"its answer broke off ({type(error).__name__})"
        raise UnavailableError(call.attempted, host, what) from error
    finally:
        let_go(response)
    text = answer.get("token") or answer.get("access_token")
    if not isinstance(text, str) or not VISIBLE.match(text):
        raise PermanentError(
            request.attempted, request.subject, f"{host} answers with no token: ask its owner"
        )
    return text, lifetime(answer.get("expires_in"))


def _whole(response: urllib3.BaseHTTPResponse) -> bytes:
    """Read to the end, or a byte further than any may be long; what broke off says so there."""
    content = b""
    while more := response.read(_LARGEST_ANSWER + 1 - len(content)):
        content += more
    return content


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        answer: Any = json.loads(content) if len(content) <= _LARGEST_ANSWER else None
    except (ValueError, RecursionError):
        answer = None
    return answer if isinstance(answer, dict) else {}


def lifetime(said: object) -> float:
    """Read ``expires_in``; what is missing or no number of seconds stands for a minute."""
    if isinstance(said, bool) or not isinstance(said, int | float) or said != said:  # noqa: PLR0124 - not a number
        return _USUAL_LIFETIME
    return float(min(max(said, 0), _LONGEST_LIFETIME))
