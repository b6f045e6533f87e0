"""Sign: release an image that passed its smoke test, and say how it was made.

Safe to repeat: a signature or equal provenance by the same key, already attached, is left alone.
The image is named by digest throughout, so a tag that moves meanwhile changes nothing.
"""

from dataclasses import replace
from importlib.metadata import version

from pipeline.domain.evidence import BuiltImage, SignedImage, SmokedImage
from pipeline.domain.policy import TrustPolicy
from pipeline.ports import Clock, ImageRegistry, Signer
from pipeline.trust.attest import attest
from pipeline.trust.byproducts import SmokeRequest
from pipeline.trust.provenance import Invocation, Provenance, read_provenance
from pipeline.trust.statements import signature_statement


def sign(
    smoked: SmokedImage,
    *,
    registry: ImageRegistry,
    signer: Signer,
    policy: TrustPolicy,
    clock: Clock,
    promotion_id: str,
) -> SignedImage:
    """Attach signature (cosign's ``sign/v1``) and SLSA provenance; ``verify`` reads them back."""
    built = smoked.built
    answered = built.example if smoked.answered == "example" else None
    request = None if answered is None else SmokeRequest.of(answered)
    provenance = replace(_provenance(built, policy), request=request)
    invocation = Invocation(
        promotion_id=promotion_id,
        finished_on=clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
        laurel_version=version("laurel"),
        alias=built.alias,
        run_id=built.run_id,
        model_id=built.model_id,
    )
    attest(
        built.ref,
        provenance.statement(built.ref.digest, invocation),
        registry=registry,
        signer=signer,
        policy=policy,
        # which run made it, and when, may differ
        same=lambda found: read_provenance(found.predicate) == provenance,
    )
    attest(
        built.ref,
        signature_statement(built.ref.digest),
        registry=registry,
        signer=signer,
        policy=policy,
    )
    return SignedImage(built.ref, built.model, signer.key_id, built.version_key)


def _provenance(built: BuiltImage, policy: TrustPolicy) -> Provenance:
    return Provenance(
        registry_url=policy.registry_url,
        workspace=built.model.workspace,
        model=built.model.name,
        version=built.model.version,
        repository=built.ref.repository,
        platform=built.platform,
        runtime=built.runtime,
        builder_id=policy.builder_id,
        artifact_digest=built.artifact_digest,
        lock_digest=built.lock_digest,
        base_digest=built.base_digest,
    )
