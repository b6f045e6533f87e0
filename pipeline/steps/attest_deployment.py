"""Attest deployment: state, signed, that a service is sent this image, and as its how-manyeth.

Provenance describes the image and is made once; this is made for every promotion and rollback
(interfaces §8.18). Safe to repeat: an equal statement by the same key is left alone.
"""

from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.references import Digest
from pipeline.ports import ImageRegistry, Signer
from pipeline.trust.attest import attest
from pipeline.trust.statements import Deployment


def attest_deployment(
    verified: VerifiedImage,
    *,
    deployment: Deployment,
    registry: ImageRegistry,
    signer: Signer,
    policy: TrustPolicy,
) -> Digest:
    """Attach the statement to the image, and return the digest of its referrer.

    It takes a verified image only: cosign counts any statement by a key as its signature, so
    nothing that is not released may carry one.
    """
    return attest(
        verified.ref,
        deployment.statement(verified.ref.digest),
        registry=registry,
        signer=signer,
        policy=policy,
    )
