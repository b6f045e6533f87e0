"""Verify: read an image back from the registry and hold it against the trust policy.

The only place that makes a :class:`VerifiedImage`. It changes nothing, so it may run again, and
after a crash it must: evidence is never restored from a checkpoint (interfaces §8.16).
"""

from pipeline.domain.evidence import Refused, SignedImage, VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.references import ImageRef, ModelVersion, model_slug
from pipeline.ports import ImageRegistry
from pipeline.trust.verifier import Trusted, examine


def verify(
    signed: SignedImage, *, registry: ImageRegistry, policy: TrustPolicy, copy_from: str = ""
) -> VerifiedImage | Refused:
    """Accept the image, or say in one sentence which requirements it does not meet.

    ``copy_from`` is the one other repository for which it may have been made, if any.
    """
    examination = examine(
        signed.ref,
        registry=registry,
        policy=policy,
        model=signed.model,
        copy_from=(copy_from,) if copy_from else (),
    )
    trusted = examination.trusted
    return examination.refusal() if trusted is None else _verified(signed.ref, trusted)


def recognise(
    image: ImageRef, *, plan: Plan, registry: ImageRegistry, policy: TrustPolicy
) -> VerifiedImage | Refused:
    """Accept an image that a person put there by hand, if it holds a version of the plan's model.

    Which version it holds, it says itself; signature and provenance must agree.
    """
    copy_from = (plan.copy_from,) if plan.copy_from else ()
    examination = examine(image, registry=registry, policy=policy, copy_from=copy_from)
    trusted = examination.trusted
    if trusted is None:
        return examination.refusal()
    verified = _verified(image, trusted)
    if (verified.model.name, verified.model.workspace) != (plan.model, plan.workspace):
        return Refused(
            f"{image} holds {verified.model}, and {plan.service} serves {plan.model}: "
            "put an image of that model there"
        )
    return verified


def _verified(image: ImageRef, trusted: Trusted) -> VerifiedImage:
    labels, request = trusted.labels, trusted.request
    return VerifiedImage(
        ref=image,
        model=ModelVersion(labels.model, labels.version, labels.workspace),
        runtime=labels.runtime,
        slug=model_slug(labels.model),
        key_id=trusted.signature.key_id,
        artifact_digest=labels.artifact_digest,
        lock_digest=labels.lock_digest,
        base_digest=labels.base_digest,
        statements=(trusted.signature.referrer.value, trusted.provenance.referrer.value),
        example=request.body if request else None,
        example_digest=request.digest if request else None,
    )
