"""Links by which one person agrees to one image, once: what they say, and the seal on it.

Nothing of a link is kept before it is used: who has the key can tell a link of theirs from any
other text, and what is sealed cannot be changed.
"""

import base64
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.domain.references import Digest

LONGEST = 2048
"""Characters that a link may have behind its address."""
_FORM = "v1"


@dataclass(frozen=True, slots=True)
class ApprovalLink:
    """What a link says.

    Parameters
    ----------
    promotion, image
        What is agreed to: no other promotion, and no other image of it.
    actor
        Whose word it is.
    until
        When it ends by itself, in whole seconds.
    token
        Id of the token that it was made with, and ends with; empty where it was made without.
    nonce
        What tells it from every other link.

    """

    promotion: str
    image: Digest
    actor: str
    until: datetime
    token: str
    nonce: str

    def sealed(self, key: bytes) -> str:
        """Write it as the part of an address that only who has the key can write."""
        until = int(self.until.timestamp())
        said = [self.promotion, self.image.hex, self.actor, until, self.token, self.nonce]
        text = _base64(json.dumps(said, separators=(",", ":")).encode())
        return f"{_FORM}.{text}.{_seal(text, key)}"


def new_link(
    promotion: str, image: Digest, actor: str, *, until: datetime, token: str = ""
) -> ApprovalLink:
    """Make a link that is like no other."""
    return ApprovalLink(promotion, image, actor, until, token, secrets.token_urlsafe(16))


def read_link(text: str, key: bytes) -> ApprovalLink | None:
    """Read a link; ``None`` for what was not sealed with the key, or changed since."""
    form, _, rest = text.partition(".")
    said, _, seal = rest.partition(".")
    if len(text) > LONGEST or form != _FORM:
        return None
    # Compared as text and in constant time, before anything of it is read.
    if not hmac.compare_digest(seal.encode(errors="replace"), _seal(said, key).encode()):
        return None
    promotion, image, actor, until, token, nonce = json.loads(
        base64.urlsafe_b64decode(said + "=" * (-len(said) % 4))
    )
    ends = datetime.fromtimestamp(until, UTC)
    return ApprovalLink(promotion, Digest(f"sha256:{image}"), actor, ends, token, nonce)


def _seal(text: str, key: bytes) -> str:
    return _base64(hmac.digest(key, text.encode(errors="replace"), "sha256"))


def _base64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
