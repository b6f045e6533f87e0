"""Verify: read an image back from the registry and hold it against the trust policy.

The only place that makes a :class:`VerifiedImage`. It changes nothing, so it may run again, and
after a crash it must: evidence is never restored from a checkpoint (interfaces §8.16).
"""

from pipeline.domain.evidence import Refused, SignedImage, VerifiedImage
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.references import model_slug
from pipeline.ports import ImageRegistry
from pipeline.trust.verifier import examine


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
    if trusted is None:
        return examination.refusal()
    return VerifiedImage(
        ref=signed.ref,
        model=signed.model,
        runtime=trusted.labels.runtime,
        slug=model_slug(signed.model.name),
        key_id=trusted.signature.key_id,
        artifact_digest=trusted.labels.artifact_digest,
        lock_digest=trusted.labels.lock_digest,
        base_digest=trusted.labels.base_digest,
        statements=(trusted.signature.referrer.value, trusted.provenance.referrer.value),
    )
