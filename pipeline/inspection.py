"""What is inside an image, read from its registry and told as it says it: nothing is verified."""

from dataclasses import dataclass

from pipeline.domain.oci import Descriptor, Layer
from pipeline.domain.references import Digest, ImageRef
from pipeline.errors import CorruptedError, NotFoundError
from pipeline.image.canonical import LIMIT
from pipeline.image.config import ImageConfig, parse_config
from pipeline.image.manifest import Manifest, parse_manifest
from pipeline.ports import ImageRegistry

MAX_REFERRERS = 100
_PREDICATE_TYPE = "dev.sigstore.bundle.predicateType"


@dataclass(frozen=True, slots=True)
class Attached:
    """A referrer as it is listed; ``predicate_type`` is what it says of itself, if anything."""

    digest: Digest
    size: int
    artifact_type: str | None
    predicate_type: str | None


@dataclass(frozen=True, slots=True)
class Inspected:
    """An image's manifest, configuration and layers, and what is attached to it."""

    image: ImageRef
    manifest: Manifest
    config: ImageConfig
    layers: tuple[Layer, ...]
    attached: tuple[Attached, ...]

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the configuration over annotations of the manifest."""
        return {**self.manifest.annotations, **self.config.labels}


def inspect(image: ImageRef, *, registry: ImageRegistry) -> Inspected:
    """Read an image by its digest.

    Raises
    ------
    NotFoundError
        Where the repository has no such manifest.
    CorruptedError
        Where it is no image, or other bytes than its digest says.

    """
    content = registry.manifest(image.repository, image.digest.value)
    if content is None:
        hint = "its repository has no such manifest: `laurel list --json` names images"
        raise NotFoundError("inspect an image", str(image), hint)
    manifest = parse_manifest(_checked(content, image.digest))
    config = parse_config(_read(image.repository, manifest.config, registry))
    if len(config.diff_ids) != len(manifest.layers):
        raise CorruptedError(
            "inspect an image",
            str(image),
            f"it has {len(manifest.layers)} layers and {len(config.diff_ids)} diffIDs",
        )
    layers = tuple(Layer(*pair) for pair in zip(manifest.layers, config.diff_ids, strict=True))
    listed = registry.referrers(image.repository, image.digest)[:MAX_REFERRERS]
    attached = tuple(_attached(image.repository, each, registry) for each in listed)
    return Inspected(image, manifest, config, layers, attached)


def _attached(repository: str, listed: Descriptor, registry: ImageRegistry) -> Attached:
    said = listed.annotations.get(_PREDICATE_TYPE) or _said_itself(repository, listed, registry)
    return Attached(listed.digest, listed.size, listed.artifact_type, said)


def _said_itself(repository: str, listed: Descriptor, registry: ImageRegistry) -> str | None:
    """Read a referrer's own annotations, where the list left them out or it has none."""
    try:
        content = registry.manifest(repository, listed.digest.value)
        return None if content is None else parse_manifest(content).annotations.get(_PREDICATE_TYPE)
    except CorruptedError:  # foreign, or damaged: it is listed all the same
        return None


def _read(repository: str, blob: Descriptor, registry: ImageRegistry) -> bytes:
    content = bytearray()
    for chunk in registry.read_blob(repository, blob.digest):
        content += chunk
        if len(content) > LIMIT:
            break
    return _checked(bytes(content), blob.digest)


def _checked(content: bytes, digest: Digest) -> bytes:
    if Digest.of(content) != digest:
        raise CorruptedError("inspect an image", digest.value, "the registry gave other bytes")
    return content
