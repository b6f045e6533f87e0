"""A token to the caller it names: PyJWT checks what every token must be, the rules what it says.

Nothing of a token is believed before its signature is, but for whose it claims to be and with which
key; and nothing of it is repeated in an answer.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import jwt

from pipeline.access.key_source import ALGORITHMS
from pipeline.domain.access import Caller, Denial, Denied, SingleUse
from pipeline.domain.oidc import Issuer, granted, named
from pipeline.errors import UnavailableError

Find = Callable[[str], jwt.PyJWK | None]
"""Finds an issuer's key by its id; ``UnavailableError`` where that cannot be told now."""

_LARGEST = 16_384  # bytes; GitHub's tokens have 2,000
_SKEW = 60
_LONGEST = 86_400
"""Seconds that a token may be good for: one that outlives a day is a password."""
_REQUIRED = ["iss", "sub", "aud", "exp", "iat"]


class IdTokens:
    """Reads tokens of these issuers, each with what finds its keys."""

    def __init__(self, issuers: Sequence[tuple[Issuer, Find]]) -> None:
        self._issuers = {issuer.url: (issuer, find) for issuer, find in issuers}

    def read(self, text: str) -> Caller | Denied:
        """Tell who calls with this token and what they may do, or why that is nothing."""
        try:
            return self._read(text)
        except jwt.PyJWTError:
            return _unknown("The token is no JSON Web Token as an OIDC issuer makes them.")

    def _read(self, text: str) -> Caller | Denied:
        header, claimed = _unverified(text)
        issuer, find = self._issuers.get(_text(claimed.get("iss")), (None, None))
        if issuer is None or find is None:
            known = " or ".join(sorted(self._issuers))
            return _unknown(f"The token is of another issuer than {known}.")
        if header.get("alg") not in ALGORITHMS or _text(header.get("typ", "JWT")).upper() != "JWT":
            return _unknown(f"The token must be a JWT signed with {' or '.join(ALGORITHMS)}.")
        try:
            key = find(_text(header.get("kid")))
        except UnavailableError as error:
            return Denied(Denial.UNDECIDED, f"{error}. Send the same again later.")
        if key is None:
            return _unknown(f"The token is signed with a key that {issuer.url} does not list.")
        return _checked(text, key, issuer)


def _unverified(text: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if len(text) > _LARGEST or not text.isascii():
        raise jwt.DecodeError
    whole = jwt.decode_complete(text, options={"verify_signature": False})
    return whole["header"], whole["payload"]


def _checked(text: str, key: jwt.PyJWK, issuer: Issuer) -> Caller | Denied:
    try:
        claims = jwt.decode(
            text,
            key,
            algorithms=ALGORITHMS,
            audience=issuer.audience,
            issuer=issuer.url,
            leeway=_SKEW,
            options={"require": _REQUIRED},
        )
    except jwt.PyJWTError as error:
        return _unknown(_why(error, issuer))
    if claims["aud"] not in (issuer.audience, [issuer.audience]):
        return _unknown(f"The token is for others, too: ask for one for {issuer.audience!r} alone.")
    if int(claims["exp"]) - int(claims["iat"]) > _LONGEST:
        return _unknown("The token is good for more than a day: ask for one that ends sooner.")
    grants = granted(issuer, claims)
    if isinstance(grants, Denied):
        return grants
    actor, trigger = named(claims)
    proof = f"a token of {issuer.url}"
    return Caller(actor, grants, proof, trigger, once=_single_use(text, claims))


def _single_use(text: str, claims: Mapping[str, Any]) -> SingleUse:
    """Tell a token from others by its id; without one, by what was signed.

    Not by the whole text: an ECDSA signature can be rewritten into another that fits as well.
    """
    mark = claims.get("jti") or text.rpartition(".")[0]
    digest = hashlib.sha256(f"{claims['iss']}\n{mark}".encode()).hexdigest()
    end = int(claims["exp"]) + 2 * _SKEW  # remembered beyond its end, for calls on their way
    return SingleUse(digest, datetime.fromtimestamp(end, UTC))


def _why(error: jwt.PyJWTError, issuer: Issuer) -> str:
    for kind, reason in _REASONS.items():
        if isinstance(error, kind):
            return reason.format(issuer=issuer.url, audience=issuer.audience)
    return f"The token is not as {issuer.url} makes them."


_REASONS: dict[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "The token has expired: ask {issuer} for a fresh one.",
    jwt.ImmatureSignatureError: "The token is not valid yet: compare the clocks.",
    jwt.InvalidAudienceError: "The token is for another audience: ask for one for {audience!r}.",
    jwt.InvalidSignatureError: "The token's signature is not by the key of {issuer} it names.",
    jwt.MissingRequiredClaimError: "The token must have iss, sub, aud, exp and iat.",
}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _unknown(reason: str) -> Denied:
    return Denied(Denial.UNKNOWN, reason)
