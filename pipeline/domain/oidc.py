"""What tokens of an OIDC issuer are worth: rules over their claims, and whom they name.

Claims are compared as whole values. There are no wildcards: a pattern that is a character too wide
lets a stranger in, and a list of values says the same and can be read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from pipeline.domain.access import Denial, Denied, Grant
from pipeline.domain.promotion import TriggerKind

PINNED = ("repository", "repository_id", "sub")
"""Claims that say whose workflow asks; a rule without one of them would let every repository in."""

_LONGEST_NAME = 200
_RULES_TOLD = 5


@dataclass(frozen=True, slots=True)
class Rule:
    """What a token must say to be granted something: each claim, one of its values."""

    grant: Grant
    claims: tuple[tuple[str, tuple[str, ...]], ...]

    def misses(self, claims: Mapping[str, object]) -> Iterator[str]:
        """Name each claim that is not as wanted, with what is wanted and never with what is."""
        for name, wanted in self.claims:
            if claims.get(name) not in wanted:
                yield f"{name} {' or '.join(map(repr, wanted))}"


@dataclass(frozen=True, slots=True)
class Issuer:
    """Somebody who vouches for callers: as its tokens' ``iss`` and ``aud`` must be, and the rules.

    ``url`` is compared letter by letter.
    """

    url: str
    audience: str
    rules: tuple[Rule, ...]


def granted(issuer: Issuer, claims: Mapping[str, object]) -> tuple[Grant, ...] | Denied:
    """Collect what every fitting rule grants, or say of each rule what it wants instead."""
    missing = [tuple(rule.misses(claims)) for rule in issuer.rules]
    fitting = [rule.grant for rule, missed in zip(issuer.rules, missing, strict=True) if not missed]
    return tuple(fitting) if fitting else Denied(Denial.NOT_ALLOWED, _wanted(missing))


def named(claims: Mapping[str, object]) -> tuple[str, TriggerKind]:
    """Tell whom the record names for these claims, and what kind of caller that is.

    GitHub's tokens say who started the workflow, and where; of others the subject is all there is.
    """
    actor, repository = claims.get("actor"), claims.get("repository")
    if isinstance(actor, str) and isinstance(repository, str):
        return f"github:{_plain(actor)} ({_plain(repository)})", TriggerKind.GITHUB
    return f"oidc:{_plain(str(claims['sub']))}", TriggerKind.API


def address_fault(url: str) -> str | None:
    """Say why an issuer cannot be believed at this address; ``None`` where it can.

    Whoever answers there decides who may call, so it is spoken to over TLS, or on this machine.
    """
    with suppress(ValueError):
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        if "@" in parts.netloc or parts.query or parts.fragment:
            return "it may have no credentials, query or fragment"
        if host and (parts.scheme == "https" or (parts.scheme == "http" and _is_here(host))):
            return None
    return "write https://HOST, or http:// for this machine alone"


def _is_here(host: str) -> bool:
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


def _wanted(missing: Sequence[Sequence[str]]) -> str:
    told = "; ".join(" and ".join(missed) for missed in missing[:_RULES_TOLD])
    left = len(missing) - _RULES_TOLD
    more = f"; {left} more rules fit neither" if left > 0 else ""
    return f"No rule of auth.oidc fits this token. Not as wanted, rule by rule: {told}{more}."


def _plain(name: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in name[:_LONGEST_NAME])
