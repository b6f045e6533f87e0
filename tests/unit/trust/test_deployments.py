"""Deployments are read back from statements of trusted keys, about this image and service alone."""

from dataclasses import replace

from pipeline.adapters.cosign_signer import KeyFileSigner
from pipeline.domain.chain import Head
from pipeline.domain.evidence import Refused, SignedImage
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.promotion import Kind
from pipeline.domain.references import Digest
from pipeline.trust.attachments import attach
from pipeline.trust.deployments import Stated, stated_deployments
from pipeline.trust.statements import DEPLOYMENT, Deployment, Statement, read_deployment
from tests.fakes.image_registry import InMemoryRegistry

OURS = Deployment(
    "fraud", 3, Kind.PROMOTION, history=Head(57, "ab" * 32), approved_by=("ada", "bob")
)


def state(
    said: Statement, image: SignedImage, registry: InMemoryRegistry, signer: KeyFileSigner
) -> Digest:
    bundle = signer.sign_statement(said.encode())
    return attach(image.ref, bundle, DEPLOYMENT, registry=registry)


def test_deployments_are_read_back_as_they_were_stated(
    signed: SignedImage,
    registry: InMemoryRegistry,
    policy: TrustPolicy,
    signer: KeyFileSigner,
    stranger: KeyFileSigner,
) -> None:
    digest = signed.ref.digest
    referrer = state(OURS.statement(digest), signed, registry, signer)
    state(Deployment("churn", 1, Kind.PROMOTION).statement(digest), signed, registry, signer)
    state(Statement(digest, DEPLOYMENT, {"service": "fraud"}), signed, registry, signer)
    forged = Deployment("fraud", 9, Kind.PROMOTION).statement(digest)
    state(forged, signed, registry, stranger)
    found = stated_deployments(signed.ref, "fraud", registry=registry, policy=policy)
    assert list(found) == [Stated(signed.ref, referrer, OURS)]


def test_a_statement_of_before_names_nobody_who_agreed_and_is_read_as_it_was() -> None:
    image = Digest.of(b"image")
    head = {"number": 57, "hash": "ab" * 32}
    said = {"service": "fraud", "sequence": 3, "kind": "promotion", "digest": image.value}
    before = Statement(image, DEPLOYMENT, said | {"history": head})
    assert read_deployment(before) == replace(OURS, approved_by=())
    assert replace(OURS, approved_by=()).statement(image) == before
    now = Statement(image, DEPLOYMENT, said | {"history": head, "approvedBy": ["ada", "bob"]})
    assert OURS.statement(image) == now
    strange = Statement(image, DEPLOYMENT, said | {"approvedBy": "ada"})
    assert isinstance(read_deployment(strange), Refused)
