"""Attest deployment: state, signed, that a service is sent this image, and as its how-manyeth.

Provenance describes the image and is made once; this is made for every promotion and rollback
(interfaces §8.18). Safe to repeat: a statement of the same deployment by the same key is left
alone, with the history that it was made over.
"""

from collections.abc import Callable
from dataclasses import replace

from pipeline.domain.chain import Head
from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.references import Digest
from pipeline.ports import ImageRegistry, Signer
from pipeline.trust.attest import attest
from pipeline.trust.statements import Deployment, Statement, read_deployment


def attest_deployment(
    verified: VerifiedImage,
    *,
    deployment: Deployment,
    knows: Callable[[Head], bool],
    registry: ImageRegistry,
    signer: Signer,
    policy: TrustPolicy,
) -> Digest:
    """Attach the statement to the image, and return the digest of its referrer.

    It takes a verified image only: cosign counts any statement by a key as its signature, so
    nothing that is not released may carry one. ``knows`` tells whether the service's history was
    ever at a head: what a ledger that was lost had stated is stated anew.
    """

    def same(found: Statement) -> bool:
        said = read_deployment(found)
        if not isinstance(said, Deployment) or said.history is None or not knows(said.history):
            return False
        return replace(said, history=None) == replace(deployment, history=None)

    return attest(
        verified.ref,
        deployment.statement(verified.ref.digest),
        registry=registry,
        signer=signer,
        policy=policy,
        same=same,
    )
