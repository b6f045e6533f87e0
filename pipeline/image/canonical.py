"""JSON with one spelling: what is hashed must not depend on who wrote it."""

import json
from typing import Any

from pipeline.errors import CorruptedError, InvalidReferenceError

LIMIT = 4 << 20  # bytes; what registries accept of a manifest at least (distribution-spec)


def canonical(value: object) -> bytes:
    """Write JSON with sorted keys, no blanks, UTF-8 as it is."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def read_object(content: bytes, what: str, limit: int = LIMIT) -> dict[str, Any]:
    """Read a JSON object of at most ``limit`` bytes; ``what`` names it where it is none."""
    if len(content) > limit:
        allowed = f"it is larger than {limit >> 20} MiB"
        raise CorruptedError(f"read {what}", f"{len(content)} bytes", allowed)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise CorruptedError(f"read {what}", "its JSON", f"it cannot be parsed: {error}") from error
    if not isinstance(value, dict):
        raise CorruptedError(f"read {what}", "its JSON", "it is not an object")
    return value


def read_texts(said: dict[str, Any] | None) -> dict[str, str]:
    """Read an object whose values are texts, as annotations and labels are."""
    texts = dict(said or {})
    if not all(isinstance(text, str) for text in (*texts, *texts.values())):
        raise InvalidReferenceError("annotations and labels are texts")
    return texts
