"""Sign a statement and attach it, once: what a step that runs again finds already done."""

from collections.abc import Callable

from pipeline.domain.evidence import Refused
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.references import Digest, ImageRef
from pipeline.errors import ConfigurationError, PermanentError
from pipeline.ports import ImageRegistry, Signer
from pipeline.trust.attachments import attach, attestations
from pipeline.trust.fetch import fetch_manifest
from pipeline.trust.keys import PublicKey
from pipeline.trust.statements import Statement


def attest(
    image: ImageRef,
    statement: Statement,
    *,
    registry: ImageRegistry,
    signer: Signer,
    policy: TrustPolicy,
    same: Callable[[Statement], bool] | None = None,
) -> Digest:
    """Attach ``statement``, signed, unless the image carries it already; return the referrer.

    Parameters
    ----------
    image
        By digest. Its manifest is read and hashed before anything is signed.
    statement
        What is said about it.
    registry, signer
        Where it goes, and whose key signs it.
    policy
        Must trust the signer's key: what nobody believes is not attached.
    same
        Whether a statement found, by the same key, makes this one superfluous; without it: an
        equal one.

    Raises
    ------
    ConfigurationError
        When the trust policy does not hold the signer's key.
    PermanentError
        When the image is not there, or the registry gives other bytes for its digest.

    """
    keys = [key for pem in policy.keys if (key := PublicKey.from_pem(pem)).key_id == signer.key_id]
    if not keys:
        raise ConfigurationError(
            f"the trust policy does not hold the signing key {signer.key_id[:12]}:"
            " add its public key, or nothing that it signs can be deployed"
        )
    manifest = fetch_manifest(registry, image.repository, image.digest)
    if isinstance(manifest, Refused):
        raise PermanentError("sign a statement", str(image), manifest.reason)
    kind = statement.predicate_type
    for found in attestations(image, registry=registry, keys=keys, wanted=(kind,)):
        if isinstance(found, Refused):
            continue
        if same(found.statement) if same else found.statement == statement:
            return found.referrer
    return attach(image, signer.sign_statement(statement.encode()), kind, registry=registry)
