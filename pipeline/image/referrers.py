"""What is said about an image, attached to it: manifests with a ``subject`` (distribution-spec).

Where a registry has no referrers call, and in a layout, which has none, they are listed by an index
under the tag ``sha256-<hex>``, kept by whoever pushes.
"""

from dataclasses import replace

from pipeline.domain.oci import IMAGE_MANIFEST, Descriptor
from pipeline.domain.references import Digest
from pipeline.image.manifest import EMPTY, Manifest, index_bytes, parse_index, parse_manifest


def referrer_manifest(
    subject: Descriptor, layer: Descriptor, annotations: dict[str, str]
) -> Manifest:
    """Attach one blob to an image; its media type is the artifact's (image-spec, manifest.md)."""
    plain = replace(subject, artifact_type=None, annotations={})
    return Manifest(EMPTY, (layer,), annotations, layer.media_type, plain)


def fallback_tag(subject: Digest) -> str:
    """Name the tag that lists an image's referrers."""
    return f"sha256-{subject.hex}"


def legacy_tags(subject: Digest) -> tuple[str, ...]:
    """Name the tags under which cosign attached things before there were referrers."""
    return tuple(f"{fallback_tag(subject)}.{kind}" for kind in ("sig", "att", "sbom"))


def as_referrer(content: bytes, media_type: str) -> tuple[Digest, Descriptor] | None:
    """Tell which image a manifest is about, and how the index lists it; ``None``: about none.

    The entry carries artifact type and annotations, which cosign's older writers left out and
    Kyverno filters by (cosign#4641).
    """
    if media_type != IMAGE_MANIFEST:
        return None
    manifest = parse_manifest(content)
    if manifest.subject is None:
        return None
    artifact_type = manifest.artifact_type or manifest.config.media_type
    listed = Descriptor(
        media_type, Digest.of(content), len(content), artifact_type, manifest.annotations
    )
    return manifest.subject.digest, listed


def with_referrer(index: bytes | None, referrer: Descriptor) -> bytes:
    """Add an entry to the index under the fallback tag, once."""
    listed = parse_index(index) if index else ()
    others = tuple(entry for entry in listed if entry.digest != referrer.digest)
    return index_bytes((*others, referrer))


def parse_referrers(index: bytes | None) -> tuple[Descriptor, ...]:
    """Read the index under the fallback tag; no index, no referrers."""
    return parse_index(index) if index else ()
