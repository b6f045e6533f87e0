from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.adapters.cosign_signer import KeyFileSigner
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.chain import Head
from pipeline.domain.evidence import Refused, SignedImage, SmokedImage, VerifiedImage
from pipeline.domain.oci import IMAGE_MANIFEST, Descriptor
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.promotion import Kind
from pipeline.domain.references import Digest
from pipeline.errors import (
    ConfigurationError,
    ConflictError,
    CorruptedError,
    NotFoundError,
    PermanentError,
)
from pipeline.ports import ImageRegistry
from pipeline.steps.attest_deployment import attest_deployment
from pipeline.steps.sign import sign
from pipeline.steps.verify import verify
from pipeline.trust.attachments import attach
from pipeline.trust.byproducts import MAX_REQUEST
from pipeline.trust.keys import PrivateKey
from pipeline.trust.statements import COSIGN_SIGN, DEPLOYMENT, SLSA_PROVENANCE, Deployment
from tests.fakes.baked_image import bake
from tests.fakes.clock import FakeClock
from tests.fakes.image_registry import InMemoryRegistry


@pytest.fixture(params=["memory", "layout"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> ImageRegistry:
    return InMemoryRegistry() if request.param == "memory" else LayoutRegistry(tmp_path / "images")


@pytest.fixture(scope="module")
def signer() -> KeyFileSigner:
    return KeyFileSigner(PrivateKey.generate())


def trusting(*signers: KeyFileSigner) -> TrustPolicy:
    keys = tuple(signer.public_key_pem for signer in signers)
    return TrustPolicy(keys, "https://laurel.dev/builder/test", "http://127.0.0.1:5000")


def release(
    smoked: SmokedImage,
    registry: ImageRegistry,
    signer: KeyFileSigner,
    *,
    clock: FakeClock | None = None,
    promotion_id: str = "p-1",
) -> SignedImage:
    return sign(
        smoked,
        registry=registry,
        signer=signer,
        policy=trusting(signer),
        clock=clock or FakeClock(),
        promotion_id=promotion_id,
    )


def statements(smoked: SmokedImage, registry: ImageRegistry) -> list[str]:
    listed = registry.referrers(smoked.built.ref.repository, smoked.built.ref.digest)
    return sorted(d.annotations["dev.sigstore.bundle.predicateType"] for d in listed)


def test_a_signed_image_carries_signature_and_provenance(
    registry: ImageRegistry, signer: KeyFileSigner
) -> None:
    smoked = bake(registry)
    signed = release(smoked, registry, signer)
    assert signed == SignedImage(
        smoked.built.ref, smoked.built.model, signer.key_id, smoked.built.version_key
    )
    assert statements(smoked, registry) == [COSIGN_SIGN, SLSA_PROVENANCE]


def test_26_signing_the_same_image_again_adds_nothing(
    registry: ImageRegistry, signer: KeyFileSigner
) -> None:
    smoked = bake(registry)
    first = release(smoked, registry, signer)
    later = FakeClock()
    later.sleep(3600)
    again = replace(smoked, built=replace(smoked.built, alias=None))
    assert release(again, registry, signer, clock=later, promotion_id="p-2") == first
    assert statements(smoked, registry) == [COSIGN_SIGN, SLSA_PROVENANCE]


def verified_example(
    smoked: SmokedImage, registry: ImageRegistry, signer: KeyFileSigner
) -> tuple[str | None, Digest | None]:
    signed = release(smoked, registry, signer)
    verified = verify(signed, registry=registry, policy=trusting(signer))
    assert isinstance(verified, VerifiedImage)
    return verified.example, verified.example_digest


def test_the_example_that_was_answered_is_read_back_with_the_image(
    registry: ImageRegistry, signer: KeyFileSigner
) -> None:
    smoked = bake(registry, example='{"inputs": ["ä"]}')
    digest = Digest.of('{"inputs": ["ä"]}'.encode())
    assert verified_example(smoked, registry, signer) == ('{"inputs": ["ä"]}', digest)


def test_an_example_that_is_too_large_leaves_its_digest(
    registry: ImageRegistry, signer: KeyFileSigner
) -> None:
    large = "x" * (MAX_REQUEST + 1)
    smoked = bake(registry, example=large)
    assert verified_example(smoked, registry, signer) == (None, Digest.of(large.encode()))


def test_what_was_not_answered_with_the_example_keeps_none(
    registry: ImageRegistry, signer: KeyFileSigner
) -> None:
    smoked = replace(bake(registry, example="{}"), answered="signature")
    assert verified_example(smoked, registry, signer) == (None, None)


def test_what_a_crash_left_unsigned_is_signed_the_next_time(
    registry: ImageRegistry, signer: KeyFileSigner
) -> None:
    smoked = bake(registry)

    class Crashing(KeyFileSigner):
        def sign_statement(self, statement: bytes) -> bytes:
            if COSIGN_SIGN.encode() in statement:
                raise KeyboardInterrupt
            return super().sign_statement(statement)

    with pytest.raises(KeyboardInterrupt):
        release(smoked, registry, Crashing(signer._key))
    assert statements(smoked, registry) == [SLSA_PROVENANCE]
    release(smoked, registry, signer)
    assert statements(smoked, registry) == [COSIGN_SIGN, SLSA_PROVENANCE]


def test_a_new_key_signs_beside_the_old_one(registry: ImageRegistry, signer: KeyFileSigner) -> None:
    smoked = bake(registry)
    release(smoked, registry, signer)
    successor = KeyFileSigner(PrivateKey.generate())
    signed = release(smoked, registry, successor)
    assert statements(smoked, registry) == [COSIGN_SIGN, COSIGN_SIGN] + [SLSA_PROVENANCE] * 2
    verified = verify(signed, registry=registry, policy=trusting(successor))
    assert isinstance(verified, VerifiedImage)


def test_provenance_with_other_facts_does_not_count_as_done(
    registry: ImageRegistry, signer: KeyFileSigner
) -> None:
    smoked = bake(registry)
    release(smoked, registry, signer)
    other = replace(smoked, built=replace(smoked.built, lock_digest=Digest.of(b"other")))
    release(other, registry, signer)
    assert statements(smoked, registry) == [COSIGN_SIGN, SLSA_PROVENANCE, SLSA_PROVENANCE]


def test_16_concurrent_signers_lose_nothing(tmp_path: Path) -> None:
    smoked = bake(LayoutRegistry(tmp_path))
    signers = [KeyFileSigner(PrivateKey.generate()) for _ in range(4)]

    def work(signer: KeyFileSigner) -> SignedImage:
        return release(smoked, LayoutRegistry(tmp_path), signer)

    with ThreadPoolExecutor(len(signers)) as pool:
        signed = list(pool.map(work, signers))
    for image, signer in zip(signed, signers, strict=True):
        seen = verify(image, registry=LayoutRegistry(tmp_path), policy=trusting(signer))
        assert isinstance(seen, VerifiedImage)


class Forgetful(InMemoryRegistry):
    """Another writer replaces the list of referrers right after each of the first writes."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def list_referrer(self, repository: str, subject: Digest, referrer: Descriptor) -> None:
        super().list_referrer(repository, subject, referrer)
        if self.times > 0:
            self.times -= 1
            self.listed[repository, subject] = []


def test_16_an_entry_that_another_writer_removed_is_written_again(signer: KeyFileSigner) -> None:
    registry = Forgetful(times=3)
    smoked = bake(registry)
    release(smoked, registry, signer)
    assert statements(smoked, registry) == [COSIGN_SIGN, SLSA_PROVENANCE]


def test_16_an_entry_that_never_stays_is_a_conflict(signer: KeyFileSigner) -> None:
    registry = Forgetful(times=100)
    with pytest.raises(ConflictError, match="other writers keep replacing its list of referrers"):
        release(bake(registry), registry, signer)


def test_18_a_tag_that_moves_meanwhile_changes_nothing(
    registry: ImageRegistry, signer: KeyFileSigner
) -> None:
    smoked = bake(registry)
    other = bake(registry, layers=(b"evil",))
    evil = registry.manifest("ml/fraud", other.built.ref.digest.value)
    assert evil is not None
    registry.push_manifest("ml/fraud", evil, IMAGE_MANIFEST, tag="latest")
    assert release(smoked, registry, signer).ref.digest == smoked.built.ref.digest
    assert statements(other, registry) == []


def test_a_key_that_the_policy_does_not_trust_signs_nothing(
    registry: ImageRegistry, signer: KeyFileSigner
) -> None:
    smoked = bake(registry)
    with pytest.raises(ConfigurationError, match="does not hold the signing key"):
        sign(
            smoked,
            registry=registry,
            signer=signer,
            policy=trusting(KeyFileSigner(PrivateKey.generate())),
            clock=FakeClock(),
            promotion_id="p-1",
        )
    assert statements(smoked, registry) == []


def test_an_image_that_is_gone_is_not_signed(
    registry: ImageRegistry, signer: KeyFileSigner
) -> None:
    smoked = bake(registry)
    ref = replace(smoked.built.ref, digest=Digest.of(b"gone"))
    with pytest.raises(PermanentError, match="there is no manifest"):
        release(replace(smoked, built=replace(smoked.built, ref=ref)), registry, signer)
    with pytest.raises(NotFoundError, match="build the image again"):
        attach(ref, b"bundle", COSIGN_SIGN, registry=registry)


def test_17_other_bytes_under_the_images_digest_are_not_signed(
    tmp_path: Path, signer: KeyFileSigner
) -> None:
    registry = LayoutRegistry(tmp_path)
    smoked = bake(registry)
    (tmp_path / "blobs" / "sha256" / smoked.built.ref.digest.hex).write_bytes(b"{}")
    with pytest.raises(PermanentError, match="sign a statement"):
        release(smoked, registry, signer)
    signed = SignedImage(smoked.built.ref, smoked.built.model, signer.key_id, "")
    refused = verify(signed, registry=registry, policy=trusting(signer))
    assert isinstance(refused, Refused)


def test_garbage_beside_our_statements_does_not_stop_signing(
    registry: ImageRegistry, signer: KeyFileSigner
) -> None:
    smoked = bake(registry)
    attach(smoked.built.ref, b"garbage", COSIGN_SIGN, registry=registry)
    release(smoked, registry, signer)
    assert statements(smoked, registry) == [COSIGN_SIGN, COSIGN_SIGN, SLSA_PROVENANCE]


def test_each_promotion_and_rollback_states_its_deployment_once(
    registry: ImageRegistry, signer: KeyFileSigner
) -> None:
    smoked = bake(registry)
    policy = trusting(signer)
    signed = release(smoked, registry, signer)
    verified = verify(signed, registry=registry, policy=policy)
    assert isinstance(verified, VerifiedImage)
    head, later = Head(7, "a" * 64), Head(9, "b" * 64)
    first = Deployment("fraud", 1, Kind.PROMOTION, history=head)
    resumed = replace(first, history=later)  # after a crash: events were added
    second = Deployment("fraud", 3, Kind.ROLLBACK, history=later)

    def referrer(deployment: Deployment, *known: Head) -> Digest:
        return attest_deployment(
            verified,
            deployment=deployment,
            knows=lambda head: head in known,
            registry=registry,
            signer=signer,
            policy=policy,
        )

    stated = referrer(first, head)
    assert referrer(first, head) == referrer(resumed, head, later) == stated
    assert referrer(second, head, later) != stated
    assert statements(smoked, registry).count(DEPLOYMENT) == 2
    assert referrer(resumed) != stated  # another ledger's, which was lost
    assert statements(smoked, registry).count(DEPLOYMENT) == 3
    assert verify(signed, registry=registry, policy=policy) == verified


class Damaged(InMemoryRegistry):
    """A registry whose list of referrers cannot be parsed."""

    def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        raise CorruptedError("read an image index", f"{repository}@{digest}", "it is no JSON")


def test_an_unreadable_list_of_referrers_refuses_the_image(signer: KeyFileSigner) -> None:
    registry = Damaged()
    smoked = bake(registry)
    signed = SignedImage(smoked.built.ref, smoked.built.model, signer.key_id, "")
    refused = verify(signed, registry=registry, policy=trusting(signer))
    assert isinstance(refused, Refused)
    assert "could not read an image index" in refused.reason
