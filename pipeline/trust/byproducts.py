"""The request that an image answered when it was smoked, as its provenance keeps it.

SLSA calls what a build leaves beside its output a byproduct. Kept is the request and not only its
digest, so that an image promoted again, of which no file is read, is proved with the same one.
"""

import base64
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import ValidationError

from pipeline.domain.evidence import Refused
from pipeline.domain.references import Digest
from pipeline.trust.shapes import Base64, Exact, Sha256, mismatch

MAX_REQUEST = 128 * 1024
"""Bytes of the largest request that is kept: base64 twice over makes 228 KiB of its bundle, far
below what this verifier and cosign read."""
_NAME = "smoke-request"


@dataclass(frozen=True, slots=True)
class SmokeRequest:
    """A request by its digest; ``body`` is ``None`` where it is too large to be kept."""

    digest: Digest
    body: str | None

    @classmethod
    def of(cls, body: str) -> Self:
        """Keep a request, or only its digest."""
        content = body.encode()
        return cls(Digest.of(content), body if len(content) <= MAX_REQUEST else None)

    def descriptor(self) -> dict[str, Any]:
        """Write it as an in-toto ResourceDescriptor."""
        described: dict[str, Any] = {
            "name": _NAME,
            "mediaType": "application/json",
            "digest": {"sha256": self.digest.hex},
        }
        if self.body is not None:
            described["content"] = base64.b64encode(self.body.encode()).decode()
        return described


def read_smoke_request(byproducts: list[dict[str, Any]]) -> SmokeRequest | Refused | None:
    """Find the one smoke request among byproducts; those of other names may be anything."""
    found = [each for each in byproducts if each.get("name") == _NAME]
    if not found:
        return None
    if len(found) > 1:
        return Refused(f"the provenance lists {_NAME} {len(found)} times")
    try:
        said = _Descriptor.model_validate(found[0])
    except ValidationError as error:
        return Refused(f"the provenance's {_NAME} is not one of Laurel's ({mismatch(error)})")
    if said.content is None:
        return SmokeRequest(said.digest.digest, None)
    return _kept(said.content, said.digest.digest)


def _kept(content: bytes, digest: Digest) -> SmokeRequest | Refused:
    if len(content) > MAX_REQUEST:
        return Refused(f"the provenance's {_NAME} has {len(content)} bytes, most is {MAX_REQUEST}")
    if Digest.of(content) != digest:
        return Refused(f"the provenance's {_NAME} is not the one of its digest {digest.short}")
    try:
        return SmokeRequest(digest, content.decode())
    except UnicodeDecodeError:
        return Refused(f"the provenance's {_NAME} is no text")


class _Descriptor(Exact):
    name: Literal["smoke-request"]
    media_type: Literal["application/json"]
    digest: Sha256
    content: Base64 | None = None
