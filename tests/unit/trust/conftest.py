"""What the tests of trust share: a key, a policy that trusts it, and an image that it signed."""

import pytest

from pipeline.adapters.cosign_signer import KeyFileSigner
from pipeline.domain.evidence import SignedImage
from pipeline.domain.policy import TrustPolicy
from pipeline.steps.sign import sign
from pipeline.trust.keys import PrivateKey
from tests.fakes.baked_image import bake
from tests.fakes.clock import FakeClock
from tests.fakes.image_registry import InMemoryRegistry


@pytest.fixture
def registry() -> InMemoryRegistry:
    return InMemoryRegistry()


@pytest.fixture(scope="session")
def signer() -> KeyFileSigner:
    return KeyFileSigner(PrivateKey.generate())


@pytest.fixture(scope="session")
def stranger() -> KeyFileSigner:
    return KeyFileSigner(PrivateKey.generate())


@pytest.fixture
def policy(signer: KeyFileSigner) -> TrustPolicy:
    return TrustPolicy(
        (signer.public_key_pem,), "https://laurel.dev/builder/test", "http://127.0.0.1:5000"
    )


@pytest.fixture
def signed(registry: InMemoryRegistry, signer: KeyFileSigner, policy: TrustPolicy) -> SignedImage:
    return sign(
        bake(registry, example='{"inputs": [1]}'),
        registry=registry,
        signer=signer,
        policy=policy,
        clock=FakeClock(),
        promotion_id="p-1",
    )
