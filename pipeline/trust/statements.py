"""In-toto statements: one sentence about one image, in the bytes that are signed.

``sign/v1`` says "released" (cosign's own words), provenance says how it was made
(:mod:`pipeline.trust.provenance`), and a deployment says where it was sent, and in which order.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from pipeline.domain.evidence import Refused
from pipeline.domain.promotion import Kind
from pipeline.domain.references import Digest
from pipeline.image.canonical import canonical
from pipeline.trust.shapes import Exact, Sha256, mismatch

COSIGN_SIGN = "https://sigstore.dev/cosign/sign/v1"
SLSA_PROVENANCE = "https://slsa.dev/provenance/v1"
DEPLOYMENT = "https://laurel.dev/attestation/deployment/v1"


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said (``predicate``, of a named type) about the image with digest ``subject``."""

    subject: Digest
    predicate_type: str
    predicate: dict[str, Any]

    def encode(self) -> bytes:
        """Write in-toto Statement v1; equal statements have equal bytes."""
        return canonical(
            {
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{"digest": {"sha256": self.subject.hex}}],
                "predicateType": self.predicate_type,
                "predicate": self.predicate,
            }
        )


def signature_statement(image: Digest) -> Statement:
    """State what ``cosign sign`` states: the holder of the key releases this image."""
    return Statement(image, COSIGN_SIGN, {})


@dataclass(frozen=True, slots=True)
class Deployment:
    """One promotion or rollback: this service was sent this image as its ``sequence``-th.

    A serving target compares ``sequence`` with the highest it has seen, so that an old signed
    image cannot be passed off as the current one (interfaces §8.18). ``environment`` is left out
    where Laurel serves only one.
    """

    service: str
    sequence: int
    kind: Kind
    environment: str | None = None

    def statement(self, image: Digest) -> Statement:
        """Say it about ``image``."""
        predicate: dict[str, Any] = {
            "service": self.service,
            "sequence": self.sequence,
            "digest": image.value,
            "kind": self.kind.value,
        }
        if self.environment is not None:
            predicate["environment"] = self.environment
        return Statement(image, DEPLOYMENT, predicate)


def read_statement(payload: bytes) -> Statement | Refused:
    """Read a statement about exactly one image.

    cosign takes a statement that names several, if one of them fits; here that is refused, for
    nobody who signs a release means two things at once.
    """
    try:
        read = _Statement.model_validate_json(payload)
    except ValidationError as error:
        return Refused(f"the statement is not one of in-toto's about one image ({mismatch(error)})")
    return Statement(read.subject[0].digest.digest, read.predicate_type, read.predicate)


class _Subject(Exact):
    digest: Sha256
    # hints of other writers, never trusted: cosign names the repository, and knows annotations
    name: str = ""
    annotations: dict[str, Any] | None = None


class _Statement(Exact):
    # cosign attest still writes v0.1
    type_: Annotated[
        Literal["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"],
        Field(alias="_type"),
    ]
    subject: Annotated[list[_Subject], Field(min_length=1, max_length=1)]
    predicate_type: str
    predicate: dict[str, Any]
