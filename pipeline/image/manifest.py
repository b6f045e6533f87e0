"""Image manifests and indexes as bytes, and read back (image-spec, manifest.md, image-index.md)."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.domain.oci import EMPTY_JSON, IMAGE_INDEX, IMAGE_MANIFEST, Descriptor
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError, InvalidReferenceError
from pipeline.image.canonical import LIMIT, canonical, read_object, read_texts

EMPTY_CONFIG = b"{}"
EMPTY = Descriptor(EMPTY_JSON, Digest.of(EMPTY_CONFIG), len(EMPTY_CONFIG))


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an image consists of; with ``subject``, what it says about another image."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: dict[str, str] = field(default_factory=dict)
    artifact_type: str | None = None
    subject: Descriptor | None = None

    def to_bytes(self) -> bytes:
        """Write the manifest; its digest is the image's."""
        said = {
            "schemaVersion": 2,
            "mediaType": IMAGE_MANIFEST,
            "artifactType": self.artifact_type,
            "config": descriptor_json(self.config),
            "layers": [descriptor_json(layer) for layer in self.layers],
            "subject": descriptor_json(self.subject) if self.subject else None,
            "annotations": self.annotations or None,
        }
        return canonical({key: value for key, value in said.items() if value is not None})


def parse_manifest(content: bytes) -> Manifest:
    """Read an image manifest; ``CorruptedError`` for an index or anything else."""
    said = read_object(content, "an image manifest")
    try:
        return _manifest(said)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptedError("read an image manifest", "its JSON", str(error)) from error


def index_bytes(manifests: tuple[Descriptor, ...]) -> bytes:
    """Write an image index."""
    listed = [descriptor_json(manifest) for manifest in manifests]
    return canonical({"schemaVersion": 2, "mediaType": IMAGE_INDEX, "manifests": listed})


def parse_index(content: bytes, limit: int = LIMIT) -> tuple[Descriptor, ...]:
    """Read an image index's manifests; ``CorruptedError`` for anything else."""
    said = read_object(content, "an image index", limit)
    try:
        return tuple(parse_descriptor(manifest) for manifest in said["manifests"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptedError("read an image index", "its JSON", str(error)) from error


def descriptor_json(descriptor: Descriptor) -> dict[str, Any]:
    """Write a descriptor as JSON; what is empty goes unsaid."""
    said = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest.value,
        "size": descriptor.size,
        "artifactType": descriptor.artifact_type,
        "annotations": descriptor.annotations or None,
    }
    return {key: value for key, value in said.items() if value is not None}


def parse_descriptor(said: dict[str, Any]) -> Descriptor:
    """Read a descriptor; ``KeyError``, ``TypeError`` or ``ValueError`` where it is none."""
    media_type, size, artifact_type = said["mediaType"], said["size"], said.get("artifactType")
    if not isinstance(media_type, str) or not isinstance(artifact_type, str | None):
        raise InvalidReferenceError("a descriptor's media type is a text")
    if not isinstance(size, int) or size < 0:
        raise InvalidReferenceError("a descriptor's size is a number of bytes")
    digest = Digest(said["digest"])
    return Descriptor(media_type, digest, size, artifact_type, read_texts(said.get("annotations")))


def _manifest(said: dict[str, Any]) -> Manifest:
    if said.get("mediaType", IMAGE_MANIFEST) != IMAGE_MANIFEST or "manifests" in said:
        raise InvalidReferenceError("it is not an OCI image manifest")
    subject = said.get("subject")
    return Manifest(
        config=parse_descriptor(said["config"]),
        layers=tuple(parse_descriptor(layer) for layer in said["layers"]),
        annotations=read_texts(said.get("annotations")),
        artifact_type=said.get("artifactType"),
        subject=parse_descriptor(subject) if subject else None,
    )
