"""What a registry wants to know of who asks: its ``WWW-Authenticate`` (RFC 9110, 11.6.1).

Lenient where it harms nobody: values without quotes may be URLs, and what makes no sense is left
out up to the next comma.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_GAP = re.compile(r"[\s,]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_TOKEN68 = re.compile(r"[ \t]+[0-9A-Za-z._~+/-]+=*[ \t]*(?=,|\Z)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_UNQUOTED = re.compile(r'[^ \t,"]+')
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_REST = re.compile(r"[^,]*")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to say who asks: ``scheme`` and the names of ``parameters`` in lower case."""

    scheme: str
    parameters: Mapping[str, str]


def challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Read every challenge of every header, in their order; nonsense is none."""
    return tuple(challenge for header in headers for challenge in _of(header))


def usable(given: Iterable[Challenge]) -> Challenge | None:
    """Choose the one to answer: Bearer that says where tokens are had, else Basic."""
    given = tuple(given)
    for challenge in given:
        if challenge.scheme == "bearer" and challenge.parameters.get("realm"):
            return challenge
    return next((challenge for challenge in given if challenge.scheme == "basic"), None)


def _of(header: str) -> Iterator[Challenge]:
    scheme, parameters = "", dict[str, str]()
    for name, value in _items(header):
        if value is not None:
            parameters.setdefault(name, value)
            continue
        if scheme:
            yield Challenge(scheme, parameters)
        scheme, parameters = name, {}
    if scheme:
        yield Challenge(scheme, parameters)


def _items(header: str) -> Iterator[tuple[str, str | None]]:
    """Read schemes, whose value is ``None``, and parameters; before any scheme there are none."""
    at, begun = 0, False
    while (at := _end(_GAP, header, at)) < len(header):
        name = _TOKEN.match(header, at)
        if name is None:
            at = max(_end(_QUOTED, header, at), _end(_REST, header, at), at + 1)
            continue
        at = name.end()
        equals = _EQUALS.match(header, at) if begun else None
        if equals is None:
            begun = True
            yield name[0].lower(), None
            at = _end(_TOKEN68, header, at)
            continue
        quoted, bare = (kind.match(header, equals.end()) for kind in (_QUOTED, _UNQUOTED))
        value = _ESCAPED.sub(r"\1", quoted[1]) if quoted else bare[0] if bare else ""
        yield name[0].lower(), value
        at = (quoted or bare or equals).end()


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at
