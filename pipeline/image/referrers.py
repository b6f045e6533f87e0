"""What is said about an image, attached to it: manifests with a ``subject`` (distribution-spec).

Where a registry has no referrers call, and in a layout, which has none, they are listed by an index
under the tag ``sha256-<hex>``, kept by whoever pushes.
"""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from pipeline.domain.oci import IMAGE_INDEX, IMAGE_MANIFEST, Descriptor
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError
from pipeline.image.canonical import LIMIT, canonical, read_object
from pipeline.image.manifest import (
    EMPTY,
    Manifest,
    descriptor_json,
    parse_descriptor,
    parse_manifest,
)


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
    """Add an entry to the index under the fallback tag, once; all else in it stays as it is."""
    said = _read_index(index)
    said["manifests"] = [*_others(said, referrer.digest), descriptor_json(referrer)]
    return _write_index(said)


def without_referrer(index: bytes | None, referrer: Digest) -> bytes | None:
    """Take an entry out of the index under the fallback tag; ``None`` where it has none."""
    said = _read_index(index)
    others = _others(said, referrer)
    if len(others) == len(said["manifests"]):
        return None
    return _write_index({**said, "manifests": others})


def parse_referrers(index: bytes | None, limit: int = LIMIT) -> tuple[Descriptor, ...]:
    """Read a list of referrers; no index, no referrers.

    Whoever can push can list anything: an entry that is no descriptor hides no other.
    """
    found = []
    for entry in _read_index(index, limit)["manifests"]:
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            found.append(parse_descriptor(entry))
    return tuple(found)


def _read_index(index: bytes | None, limit: int = LIMIT) -> dict[str, Any]:
    if index is None:
        return {"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": []}
    said = read_object(index, "a list of referrers", limit)
    if said.get("manifests", []) is None:  # what Go writes for none
        said["manifests"] = []
    if not isinstance(said.get("manifests"), list):
        raise CorruptedError("read a list of referrers", "its JSON", "it is no image index")
    return said


def _others(said: dict[str, Any], referrer: Digest) -> list[Any]:
    return [
        entry
        for entry in said["manifests"]
        if not (isinstance(entry, dict) and entry.get("digest") == referrer.value)
    ]


def _write_index(said: dict[str, Any]) -> bytes:
    try:
        return canonical(said)
    except ValueError as error:  # half a surrogate pair, which JSON can spell and UTF-8 cannot
        raise CorruptedError("write a list of referrers", "its JSON", str(error)) from error
