"""What foreign JSON must look like, exactly: an unknown field is a reason to look away."""

import base64
import binascii
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from pipeline.domain.references import Digest

MAX_DOCUMENT = 10 * 1024 * 1024
"""Bytes that a bundle, manifest or configuration may have; Kyverno's limit for bundles."""


class Exact(BaseModel):
    """JSON with these fields (in camelCase) and no other, of these types and no similar ones."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)


class Loose(BaseModel):
    """JSON that must have these fields (in camelCase) and may have others."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, alias_generator=to_camel)


def _decode(value: object) -> bytes:
    """Decode base64 as strictly as Go does; pydantic's own decoder skips foreign characters."""
    try:
        return base64.b64decode(value if isinstance(value, str) else "?", validate=True)
    except (binascii.Error, ValueError):  # ValueError alone: a character beyond ASCII
        raise ValueError("not base64") from None


Base64 = Annotated[bytes, BeforeValidator(_decode)]
"""Bytes that the JSON carries in standard base64, padding and all."""


class Sha256(Exact):
    """A digest in in-toto's form: ``{"sha256": "…"}`` and no other algorithm beside it."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}\z")]

    @property
    def digest(self) -> Digest:
        """The digest in OCI's form."""
        return Digest("sha256:" + self.sha256)


def mismatch(error: ValidationError) -> str:
    """Say where and how JSON differs from its shape, without repeating what it holds."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(ascii(part)[:40].strip("'") for part in first["loc"][:8])
    return f"{place or 'the document'}: {first['msg'][:120]}"
