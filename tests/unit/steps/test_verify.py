import json

import pytest

from pipeline.adapters.cosign_signer import KeyFileSigner
from pipeline.domain.evidence import Refused, SignedImage, VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.policy import TrustPolicy
from pipeline.errors import ConfigurationError
from pipeline.steps.sign import sign
from pipeline.steps.verify import recognise, verify
from pipeline.trust.keys import PrivateKey
from tests.fakes.baked_image import ARTIFACTS, BASE, LOCK, MODEL, bake
from tests.fakes.clock import FakeClock
from tests.fakes.image_registry import InMemoryRegistry


@pytest.fixture(scope="module")
def signer() -> KeyFileSigner:
    return KeyFileSigner(PrivateKey.generate())


@pytest.fixture
def policy(signer: KeyFileSigner) -> TrustPolicy:
    return TrustPolicy((signer.public_key_pem,), "https://laurel.dev/builder/test", "http://mlflow")


def test_a_verified_image_says_what_was_read_back(
    signer: KeyFileSigner, policy: TrustPolicy
) -> None:
    registry = InMemoryRegistry()
    signed = sign(
        bake(registry),
        registry=registry,
        signer=signer,
        policy=policy,
        clock=FakeClock(),
        promotion_id="p-1",
    )
    verified = verify(signed, registry=registry, policy=policy)
    assert isinstance(verified, VerifiedImage)
    listed = {d.digest.value for d in registry.referrers(signed.ref.repository, signed.ref.digest)}
    assert set(verified.statements) == listed
    assert verified == VerifiedImage(
        ref=signed.ref,
        model=MODEL,
        runtime="mlserver",
        slug="fraud",
        key_id=signer.key_id,
        artifact_digest=ARTIFACTS,
        lock_digest=LOCK,
        base_digest=BASE,
        statements=verified.statements,
    )


@pytest.fixture
def released(signer: KeyFileSigner, policy: TrustPolicy) -> tuple[InMemoryRegistry, SignedImage]:
    registry = InMemoryRegistry()
    signed = sign(
        bake(registry),
        registry=registry,
        signer=signer,
        policy=policy,
        clock=FakeClock(),
        promotion_id="p-1",
    )
    return registry, signed


def test_an_image_put_there_by_hand_is_recognised_by_what_it_says_of_itself(
    released: tuple[InMemoryRegistry, SignedImage], policy: TrustPolicy
) -> None:
    registry, signed = released
    plan = Plan("fraud", MODEL.name)
    recognised = recognise(signed.ref, plan=plan, registry=registry, policy=policy)
    assert recognised == verify(signed, registry=registry, policy=policy)


def test_an_image_of_another_model_is_not_recognised(
    released: tuple[InMemoryRegistry, SignedImage], policy: TrustPolicy
) -> None:
    registry, signed = released
    plan = Plan("churn", "churn")
    assert recognise(signed.ref, plan=plan, registry=registry, policy=policy) == Refused(
        f"{signed.ref} holds fraud/7, and churn serves churn: put an image of that model there"
    )


def test_an_image_that_nobody_signed_is_not_recognised(policy: TrustPolicy) -> None:
    registry = InMemoryRegistry()
    built = bake(registry).built
    plan = Plan("fraud", MODEL.name, copy_from="staging/fraud")
    refused = recognise(built.ref, plan=plan, registry=registry, policy=policy)
    assert isinstance(refused, Refused)
    assert f"{built.ref} is not to be trusted" in refused.reason


def test_a_refusal_is_one_sentence_with_every_finding_as_evidence(
    signer: KeyFileSigner, policy: TrustPolicy
) -> None:
    registry = InMemoryRegistry()
    built = bake(registry).built
    signed = SignedImage(built.ref, built.model, signer.key_id, built.version_key)
    refused = verify(signed, registry=registry, policy=policy)
    assert isinstance(refused, Refused)
    assert refused.reason == (
        f"{built.ref} is not to be trusted: "
        "signature: no key of the trust policy signed one that fits; "
        "provenance: no key of the trust policy signed one that fits; "
        "promote its version with --rebuild to have it made and signed anew"
    )
    verdicts = {f["requirement"]: f["verdict"] for f in refused.evidence["findings"]}
    assert verdicts == {
        "manifest": "pass",
        "layers": "pass",
        "labels": "pass",
        "signature": "fail",
        "provenance": "fail",
    }
    json.dumps(refused.evidence)


def test_a_policy_without_keys_cannot_be_made() -> None:
    with pytest.raises(ConfigurationError, match="names no public key"):
        TrustPolicy((), "builder", "http://mlflow")


@pytest.mark.parametrize("url", ["http://ann:hunter2@mlflow", "http://ann@mlflow"])
def test_25_a_registry_url_with_credentials_is_refused_for_it_would_be_published(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"mlflow\.url carries credentials") as caught:
        TrustPolicy((b"key",), "builder", url)
    assert "hunter2" not in str(caught.value)


def test_a_policy_with_something_else_for_a_key_is_a_configuration_error() -> None:
    registry = InMemoryRegistry()
    built = bake(registry).built
    signed = SignedImage(built.ref, built.model, "", "")
    with pytest.raises(ConfigurationError, match="this is not a public key"):
        verify(signed, registry=registry, policy=TrustPolicy((b"x",), "builder", "http://mlflow"))
