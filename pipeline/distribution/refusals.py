"""What a registry says when it says no, as errors that say who was refused what.

Its words are not ours: they are read so far, shortened, and whatever in them could be a credential
or a signed URL is left out.
"""

import json
import re
from collections.abc import Iterable
from http import HTTPStatus

import urllib3

from pipeline.distribution.login import Login
from pipeline.distribution.request import Request, Scope
from pipeline.distribution.retries import is_away, retry_after
from pipeline.errors import ForbiddenError, PermanentError, RateLimitedError, UnavailableError

_LARGEST_ANSWER = 1 << 16
_LONGEST_TEXT = 200
_QUERY = re.compile(r"\?\S+")
_SECRET = re.compile(r"(?i)\b(basic|bearer)(?: |%20)+[\w.~+/=-]+")
_TOKEN = re.compile(r"(?<![\w:])[\w+=.~-]{50,}")  # a digest follows a colon
DENIED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def reason(response: urllib3.BaseHTTPResponse) -> str:
    """Read why, as registries and token servers say it; ``""`` where nothing can be shown."""
    try:
        text = " ".join(_words(json.loads(response.read(_LARGEST_ANSWER))))
    except (ValueError, RecursionError, urllib3.exceptions.HTTPError):
        return ""
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    text = _TOKEN.sub("…", _SECRET.sub(r"\1 …", _QUERY.sub("?…", text)))
    return text[:_LONGEST_TEXT].strip()


def forbidden(request: Request, login: Login, why: str, *, by: str = "") -> ForbiddenError:
    """Make the error that says who was refused what; ``by`` whom, if not the registry itself."""
    what = _wanted(request.scopes)
    said = f": {why}" if why and not login.gives_away(why) else ""
    if login.is_anonymous:
        hint = (
            f"{by or request.host} wants credentials for {what}, and {login.source}{said}; "
            f"log in: docker login {request.host}"
        )
    else:
        hint = f"{by or request.host} refuses {login} {what}{said}"
    return ForbiddenError(request.attempted, request.subject, hint)


def refusal(
    response: urllib3.BaseHTTPResponse, attempted: str, subject: str, host: str
) -> PermanentError:
    """Make the error for an answer that nobody has a use for."""
    why = reason(response)
    return PermanentError(
        attempted, subject, f"{host} answers {response.status}{why and f': {why}'}"
    )


def require_there(response: urllib3.BaseHTTPResponse, attempted: str, host: str) -> None:
    """Raise where whoever answers cannot now: 429 and 5xx."""
    if not is_away(response):
        return
    wait = retry_after(response)
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise RateLimitedError(attempted, host, "it asks for fewer requests", retry_after=wait)
    why = reason(response)
    hint = f"it answers {response.status}{why and f' ({why})'}; look at its log"
    raise UnavailableError(attempted, host, hint, retry_after=wait)


def _words(answer: object) -> Iterable[str]:
    """Find the words in OCI's error list, else in what token servers answer instead."""
    said = answer if isinstance(answer, dict) else {}
    errors = said.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else said
    keys = ("code", "error", "error_description", "details", "message")
    found = (first.get(key) for key in keys) if isinstance(first, dict) else ()
    return (word for word in found if isinstance(word, str))


def _wanted(scopes: Iterable[Scope]) -> str:
    """Say what scopes are about: "pull and push on ml/fraud"."""
    return ", ".join(f"{' and '.join(scope.actions)} on {scope.repository}" for scope in scopes)
