"""The chain of a service's history: every entry holds the hash of the one before it.

An entry's hash is the SHA-256 of its RFC 8785 JSON, all of it but the hash itself. So whoever
changes, removes, swaps or inserts an entry must write every later one anew, and comes out at
another head; the signed deployment statements (:mod:`pipeline.trust.statements`) carry heads.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import rfc8785

_BEGINNING = "laurel history v1\n"
_EXACT = 2**53 - 1
"""The largest whole number that every reader of JSON has exactly."""


@dataclass(frozen=True, slots=True)
class Head:
    """How long a history is, and the hash of its last entry: all of it in 72 characters."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened to a service, its ``number``-th; ``at`` is RFC 3339, in UTC.

    ``promotion`` is null in what concerns none, such as a hold.
    """

    service: str
    number: int
    promotion: str | None
    at: str
    kind: str
    data: dict[str, Any]
    previous: str
    hash: str

    @property
    def head(self) -> Head:
        """The history's head where this is its last entry."""
        return Head(self.number, self.hash)


@dataclass(frozen=True, slots=True)
class BrokenAt:
    """The first entry that does not continue the chain, and why, as a sentence."""

    number: int
    why: str


def beginning(service: str) -> Head:
    """Return what the first entry of a service's history follows."""
    return Head(0, hashlib.sha256((_BEGINNING + service).encode()).hexdigest())


def following(
    head: Head, *, service: str, promotion: str | None, at: str, kind: str, data: dict[str, Any]
) -> Entry:
    """Make the entry that follows a head; ``data`` becomes what RFC 8785 can write."""
    said: dict[str, Any] = _writable(data)
    unsealed = Entry(service, head.number + 1, promotion, at, kind, said, head.hash, "")
    return Entry(service, head.number + 1, promotion, at, kind, said, head.hash, seal(unsealed))


def fingerprint(value: object) -> str:
    """Return the digest of JSON, however it was spelt."""
    return f"sha256:{hashlib.sha256(rfc8785.dumps(_writable(value))).hexdigest()}"


def seal(entry: Entry) -> str:
    """Compute an entry's hash from all else that it says.

    Raises
    ------
    ValueError, RecursionError
        Where RFC 8785 cannot write it.

    """
    said: dict[str, Any] = {
        "service": entry.service,
        "number": entry.number,
        "promotion": entry.promotion,
        "at": entry.at,
        "kind": entry.kind,
        "data": entry.data,
        "previous": entry.previous,
    }
    return hashlib.sha256(rfc8785.dumps(said)).hexdigest()


def verify_chain(
    entries: Iterable[Entry], service: str, after: Head | None = None
) -> Head | BrokenAt:
    """Recompute a history, oldest entry first; the head, or the first broken entry.

    ``after`` is the head of what was recomputed before; without it the history is a whole one.
    """
    head = after or beginning(service)
    for entry in entries:
        why = _not_next(entry, head, service)
        if why:
            return BrokenAt(head.number + 1, why)
        head = entry.head
    return head


def contradiction(stated: Head, hashes: Sequence[str], service: str) -> str:
    """Say why a head that was stated is none of a history, by its hashes; empty where it is one."""
    if stated.number > len(hashes):
        return f"entry {stated.number} is not there: the history ends with entry {len(hashes)}"
    past = hashes[stated.number - 1] if stated.number else beginning(service).hash
    if past != stated.hash:
        return f"entry {stated.number} is another: it, or one before it, was replaced"
    return ""


def _not_next(entry: Entry, head: Head, service: str) -> str:
    """Say why an entry does not follow a head; empty where it does."""
    wanted = head.number + 1
    if entry.number != wanted:
        return f"entry {wanted} is not there: entry {entry.number} stands in its place"
    if entry.service != service:
        return f"entry {wanted} is of the service {entry.service}"
    try:
        sealed = seal(entry)
    except (ValueError, RecursionError):
        return f"entry {wanted} holds what no history can: it cannot be written as RFC 8785 JSON"
    if sealed != entry.hash:
        return f"entry {wanted} was changed: its hash is of something else than it says"
    if entry.previous != head.hash:
        before = f"entry {head.number}" if head.number else "the beginning"
        return f"entry {wanted} does not follow {before}: one of the two was replaced"
    return ""


def _writable(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Write as text what RFC 8785 has no number for; a history must never refuse to be told."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()  # half a surrogate is no character
        case dict():
            return {_writable(str(key)): _writable(item) for key, item in value.items()}
        case list() | tuple():
            return [_writable(item) for item in value]
        case int() | float() if not -_EXACT <= value <= _EXACT:  # nor is NaN
            return str(value)
        case _:
            return value
