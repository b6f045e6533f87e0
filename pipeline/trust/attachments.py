"""Statements as an image's referrers: attach one, find those that a trusted key signed.

Whoever can push can attach anything, so whatever is foreign, damaged or too large is passed over
with a reason and never stops the search for ours (cosign's rule, conforma#3185, is the reverse).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.domain.content import Content
from pipeline.domain.evidence import Refused
from pipeline.domain.oci import EMPTY_JSON, IMAGE_MANIFEST, SIGSTORE_BUNDLE, Descriptor
from pipeline.domain.references import Digest, ImageRef
from pipeline.errors import ConflictError, CorruptedError, NotFoundError
from pipeline.image.manifest import EMPTY_CONFIG
from pipeline.image.referrers import referrer_manifest
from pipeline.ports import ImageRegistry
from pipeline.trust.bundle import read_bundle
from pipeline.trust.fetch import fetch_blob, fetch_manifest
from pipeline.trust.keys import PublicKey
from pipeline.trust.shapes import MAX_DOCUMENT
from pipeline.trust.statements import Statement, read_statement

MAX_REFERRERS = 100
"""Referrers that are read for one image; two requests each."""

_PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Attested:
    """A statement about the image, signed by the key ``key_id``, found in ``referrer``."""

    statement: Statement
    key_id: str
    referrer: Digest


def attestations(
    image: ImageRef, *, registry: ImageRegistry, keys: Sequence[PublicKey], wanted: Sequence[str]
) -> Iterator[Attested | Refused]:
    """Read an image's attested statements one by one, each with its reason where it is none.

    Those that say of themselves that they are of a ``wanted`` predicate type are read first, so
    that a crowd of others does not use up the bound; what they say is not believed for that.
    """
    try:
        referrers = registry.referrers(image.repository, image.digest)
    except CorruptedError as error:
        yield Refused(str(error))
        return
    listed = [descriptor for descriptor in referrers if _may_be_bundle(descriptor)]
    listed.sort(key=lambda d: d.annotations.get(_PREDICATE_TYPE) not in wanted)
    for descriptor in listed[:MAX_REFERRERS]:
        found = _read(image, descriptor, registry, keys)
        if isinstance(found, Refused):
            yield Refused(f"{descriptor.digest.short}: {found.reason}")
        else:
            yield found
    if len(listed) > MAX_REFERRERS:
        yield Refused(f"{len(listed) - MAX_REFERRERS} more referrers were not read")


def attach(
    image: ImageRef, bundle: bytes, predicate_type: str, *, registry: ImageRegistry
) -> Digest:
    """Attach a bundle to an image and see it listed; the same bundle again changes nothing.

    Raises
    ------
    NotFoundError
        When the image is not there.
    ConflictError
        When other writers removed it from the list each time (registries without a referrers API
        keep that list in a tag, which is read, changed and written).

    """
    manifest = registry.manifest(image.repository, image.digest.value)
    if manifest is None:
        raise NotFoundError("attach a statement", str(image), "build the image again")
    registry.push_blob(image.repository, Content.of(EMPTY_CONFIG))
    blob = registry.push_blob(image.repository, Content.of(bundle))
    referrer = referrer_manifest(
        Descriptor(IMAGE_MANIFEST, image.digest, len(manifest)),
        Descriptor(SIGSTORE_BUNDLE, blob.digest, blob.size),
        # no time of creation, which cosign writes too: the same bundle has the same digest
        {"dev.sigstore.bundle.content": "dsse-envelope", _PREDICATE_TYPE: predicate_type},
    ).to_bytes()
    for _ in range(_ATTEMPTS):
        digest = registry.push_manifest(image.repository, referrer, IMAGE_MANIFEST)
        if any(d.digest == digest for d in registry.referrers(image.repository, image.digest)):
            return digest
    raise ConflictError(
        "attach a statement", str(image), "other writers keep replacing its list of referrers"
    )


def _may_be_bundle(descriptor: Descriptor) -> bool:
    # older go-containerregistry names the config's type here (cosign#4641): the manifest decides
    return descriptor.artifact_type in {SIGSTORE_BUNDLE, EMPTY_JSON, None}


def _read(
    image: ImageRef, descriptor: Descriptor, registry: ImageRegistry, keys: Sequence[PublicKey]
) -> Attested | Refused:
    layer = _read_referrer(image, descriptor, registry)
    if isinstance(layer, Refused):
        return layer
    content = fetch_blob(registry, image.repository, layer)
    envelope = content if isinstance(content, Refused) else read_bundle(content)
    if isinstance(envelope, Refused):
        return envelope
    key = next((k for k in keys if k.verifies(envelope.signature, envelope.signed_bytes)), None)
    if key is None:
        return Refused("no key of the trust policy made its signature")
    statement = read_statement(envelope.payload)
    if isinstance(statement, Refused):
        return statement
    if statement.subject != image.digest:
        return Refused(f"its statement is about another image, {statement.subject}")
    return Attested(statement, key.key_id, descriptor.digest)


def _read_referrer(
    image: ImageRef, descriptor: Descriptor, registry: ImageRegistry
) -> Descriptor | Refused:
    """Read which blob a referrer attaches, if it attaches one bundle to this very image."""
    if descriptor.size > MAX_DOCUMENT:
        return Refused(f"its manifest has {descriptor.size} bytes, more than {MAX_DOCUMENT}")
    referrer = fetch_manifest(registry, image.repository, descriptor.digest)
    if isinstance(referrer, Refused):
        return referrer
    if referrer.subject is None or referrer.subject.digest != image.digest:
        return Refused("its manifest belongs to another image")
    types = [referrer.artifact_type, *(layer.media_type for layer in referrer.layers)]
    if types != [SIGSTORE_BUNDLE, SIGSTORE_BUNDLE]:
        return Refused("its manifest does not carry exactly one v0.3 bundle")
    return referrer.layers[0]
