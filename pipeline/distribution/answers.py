"""What a registry answered: its length, where it sends us, and why it said no."""

from collections.abc import Mapping

import urllib3

from pipeline.distribution.refusals import reason
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError, InvalidReferenceError, PermanentError

_LONGEST_NUMBER = 19  # digits of what fits into 64 bits, whatever it is


class RejectedError(PermanentError):
    """The registry said no to one call: its HTTP status, and why, beginning with its own code.

    The codes, ``DIGEST_INVALID`` and the like, are the distribution-spec's.
    """

    def __init__(self, attempted: str, subject: str, status: int, said: str) -> None:
        answers = f"the registry answers {status}{said and ': '}{said}"
        super().__init__(attempted, subject, answers)
        self.status = status
        self.said = said


def succeeded(answer: urllib3.BaseHTTPResponse) -> bool:
    """Tell whether it is a yes; which of them, registries do not agree about (ECR, Quay)."""
    return 200 <= answer.status < 300  # noqa: PLR2004 - HTTP's own numbers


def rejected(answer: urllib3.BaseHTTPResponse, attempted: str, subject: str) -> RejectedError:
    """Read why it is a no."""
    return RejectedError(attempted, subject, answer.status, reason(answer))


def length(answer: urllib3.BaseHTTPResponse) -> int | None:
    """Read how long the body is said to be."""
    return number(answer.headers, "Content-Length")


def number(headers: Mapping[str, str], name: str) -> int | None:
    """Read a header that is a whole number; ``None`` where it is not there, or something else."""
    said = headers.get(name, "").strip()
    plain = said.isascii() and said.isdigit() and len(said) <= _LONGEST_NUMBER
    return int(said) if plain else None


def bounded(answer: urllib3.BaseHTTPResponse, limit: int, attempted: str, subject: str) -> bytes:
    """Read a whole body; ``CorruptedError`` where it is larger than ``limit`` bytes."""
    content = bytearray()
    if (length(answer) or 0) <= limit:
        while chunk := answer.read(limit + 1 - len(content), decode_content=True):
            content += chunk
            if len(content) > limit:
                break
        else:
            return bytes(content)
    raise CorruptedError(
        attempted, subject, f"the registry answers with more than {limit >> 20} MiB: ask its owner"
    )


def require_digest(
    answer: urllib3.BaseHTTPResponse, digest: Digest, attempted: str, subject: str
) -> None:
    """Compare the digest that the registry names, if it does; ``CorruptedError`` for another."""
    named = answer.headers.get("Docker-Content-Digest", "")
    if not named.startswith("sha256:"):  # none, or of an algorithm that we do not speak
        return
    try:
        same = Digest(named) == digest
    except InvalidReferenceError:
        same = False
    if not same:
        raise CorruptedError(
            attempted,
            f"{subject}@{digest}",
            f"the registry answers with other bytes, {named[:80]!r}: ask its owner",
        )
