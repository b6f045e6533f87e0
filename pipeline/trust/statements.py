"""In-toto statements: one sentence about one image, in the bytes that are signed.

``sign/v1`` says "released" (cosign's own words), provenance says how it was made
(:mod:`pipeline.trust.provenance`), and a deployment says where it was sent, in which order, and
how long the service's history was then.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from pipeline.domain.chain import Head
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
    where Laurel serves only one. ``history`` is the head of the service's history at that moment:
    whoever rewrites or cuts off what came before it must also forge this statement. ``approved_by``
    are the people on whose word it was let into traffic, where some had to agree.
    """

    service: str
    sequence: int
    kind: Kind
    environment: str | None = None
    history: Head | None = None
    approved_by: tuple[str, ...] = ()

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
        if self.history is not None:
            predicate["history"] = {"number": self.history.number, "hash": self.history.hash}
        if self.approved_by:
            predicate["approvedBy"] = list(self.approved_by)
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


def read_deployment(statement: Statement) -> Deployment | Refused:
    """Read what a deployment statement says."""
    if statement.predicate_type != DEPLOYMENT:
        return Refused(f"it states {statement.predicate_type}, not a deployment")
    try:
        read = _Deployment.model_validate(statement.predicate)
    except ValidationError as error:
        return Refused(f"its deployment is not as Laurel states one ({mismatch(error)})")
    if read.digest != statement.subject.value:
        return Refused("it states the deployment of another image than it is about")
    history = None if read.history is None else Head(read.history.number, read.history.hash)
    return Deployment(
        read.service,
        read.sequence,
        Kind(read.kind),
        read.environment,
        history,
        tuple(read.approved_by),
    )


class _Head(Exact):
    number: Annotated[int, Field(ge=0)]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}\z")]


class _Deployment(Exact):
    service: str
    sequence: Annotated[int, Field(ge=1)]
    digest: str
    kind: Literal["promotion", "rollback"]
    environment: str | None = None
    history: _Head | None = None
    approved_by: list[str] = Field(default_factory=list)


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
