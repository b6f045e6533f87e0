"""Sigstore bundles v0.3 around DSSE envelopes signed with a key (protobuf-specs, cosign >= 3).

cosign drops a bundle with a ``keyid``, a second signature or a field it does not know without a
word, so Laurel writes none of these, and reads only what it would have written.
"""

import base64
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from pipeline.domain.evidence import Refused
from pipeline.domain.oci import SIGSTORE_BUNDLE
from pipeline.image.canonical import canonical
from pipeline.trust.dsse import Envelope
from pipeline.trust.shapes import MAX_DOCUMENT, Base64, Exact, mismatch


def write_bundle(envelope: Envelope, hint: str) -> bytes:
    """Write the bundle of one signed statement; ``hint`` is the public key's."""
    return canonical(
        {
            "mediaType": SIGSTORE_BUNDLE,
            # no transparency log, said by an empty list: sigstore-models insists on the field
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payloadType": envelope.payload_type,
                "payload": base64.b64encode(envelope.payload).decode(),
                "signatures": [{"sig": base64.b64encode(envelope.signature).decode()}],
            },
        }
    )


def read_bundle(content: bytes) -> Envelope | Refused:
    """Read the envelope of a bundle signed with a key; nothing in it is verified yet."""
    if len(content) > MAX_DOCUMENT:
        return Refused(f"the bundle has more than {MAX_DOCUMENT} bytes")
    try:
        envelope = _Bundle.model_validate_json(content).dsse_envelope
    except ValidationError as error:
        return Refused(f"the bundle is not a v0.3 key bundle ({mismatch(error)})")
    return Envelope(envelope.payload_type, envelope.payload, envelope.signatures[0].sig)


class _Signature(Exact):
    sig: Annotated[Base64, Field(min_length=1)]


class _Envelope(Exact):
    payload_type: Literal["application/vnd.in-toto+json"]
    payload: Base64
    signatures: Annotated[list[_Signature], Field(min_length=1, max_length=1)]


class _PublicKey(Exact):
    hint: str = ""


class _Material(Exact):
    public_key: _PublicKey
    tlog_entries: Annotated[list[object], Field(max_length=0, default_factory=list)]


class _Bundle(Exact):
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"]
    verification_material: _Material
    dsse_envelope: _Envelope
