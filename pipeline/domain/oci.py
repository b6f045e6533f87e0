"""OCI's words for content: a descriptor names bytes by media type, digest and size."""

from dataclasses import dataclass, field

from pipeline.domain.references import Digest
from pipeline.domain.serving import Blob

IMAGE_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IMAGE_INDEX = "application/vnd.oci.image.index.v1+json"
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
EMPTY_JSON = "application/vnd.oci.empty.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
LAYER_GZIP = LAYER + "+gzip"
_DOCKER = "application/vnd.docker."
IN_OCI_WORDS = {
    _DOCKER + "distribution.manifest.v2+json": IMAGE_MANIFEST,
    _DOCKER + "distribution.manifest.list.v2+json": IMAGE_INDEX,
    _DOCKER + "container.image.v1+json": IMAGE_CONFIG,
    _DOCKER + "image.rootfs.diff.tar": LAYER,
    _DOCKER + "image.rootfs.diff.tar.gzip": LAYER_GZIP,
}
"""Docker's media types and OCI's for the same bytes (image-spec, media-types.md)."""
SIGSTORE_BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Content by media type, digest and size in bytes (image-spec, descriptor.md)."""

    media_type: str
    digest: Digest
    size: int
    artifact_type: str | None = None
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an image: the blob as stored, and the digest of its tar (image-spec, config).

    The two differ for a compressed layer; Laurel's own are stored as they are.
    """

    descriptor: Descriptor
    diff_id: Digest

    @classmethod
    def plain(cls, blob: Blob) -> "Layer":
        """Name an uncompressed blob: its digest is its diffID."""
        return cls(Descriptor(LAYER, blob.digest, blob.size), blob.digest)


@dataclass(frozen=True, slots=True)
class Base:
    """What an image stands on: an interpreter and the libraries it needs.

    ``python`` is the interpreter's path inside the image; ``env`` has what it needs to be found,
    ``PATH`` among it.
    """

    digest: Digest
    layers: tuple[Layer, ...]
    python: str
    env: dict[str, str] = field(default_factory=dict)
