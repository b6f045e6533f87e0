"""What an image says of itself, and whether everything that it consists of is there."""

from dataclasses import dataclass

from pipeline.domain.evidence import Refused
from pipeline.domain.oci import Descriptor
from pipeline.domain.references import Digest, parse_version
from pipeline.errors import CorruptedError, InvalidReferenceError
from pipeline.image.config import parse_config
from pipeline.image.manifest import Manifest
from pipeline.ports import ImageRegistry
from pipeline.trust.fetch import fetch_blob

MAX_LAYERS = 127
"""Layers that container engines mount at most."""


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels that Laurel gives an image at build, and the platform beside them."""

    workspace: str
    model: str
    version: int
    runtime: str
    artifact_digest: Digest
    lock_digest: Digest
    base_digest: Digest
    platform: str


def read_labels(
    manifest: Manifest, *, registry: ImageRegistry, repository: str
) -> Labels | Refused:
    """Read Laurel's labels out of the image's configuration."""
    content = fetch_blob(registry, repository, manifest.config)
    if isinstance(content, Refused):
        return content
    try:
        config = parse_config(content)
        labels = config.labels
        return Labels(
            workspace=labels.get("dev.laurel.model.workspace", ""),  # left out where there is none
            model=labels["dev.laurel.model.name"],
            version=parse_version(labels["dev.laurel.model.version"]),
            runtime=labels["dev.laurel.runtime"],
            artifact_digest=Digest(labels["dev.laurel.artifact.digest"]),
            lock_digest=Digest(labels["dev.laurel.lock.digest"]),
            base_digest=Digest(labels["org.opencontainers.image.base.digest"]),
            platform=f"linux/{config.architecture}",
        )
    except KeyError as error:
        return Refused(f"its configuration has no label {error.args[0]}: Laurel did not build it")
    except (CorruptedError, InvalidReferenceError) as error:
        return Refused(f"its configuration is not one of Laurel's: {error}")


def missing_blob(manifest: Manifest, *, registry: ImageRegistry, repository: str) -> Refused | None:
    """Look for each layer under its digest and size; only their presence, not their bytes."""
    if not 0 < len(manifest.layers) <= MAX_LAYERS:
        return Refused(f"it has {len(manifest.layers)} layers, allowed are 1 to {MAX_LAYERS}")
    for layer in manifest.layers:
        reason = _unlike(layer, registry, repository)
        if reason:
            return Refused(reason)
    return None


def _unlike(layer: Descriptor, registry: ImageRegistry, repository: str) -> str:
    blob = registry.blob(repository, layer.digest)
    if blob is None:
        return f"layer {layer.digest} is not in the registry: build the image again"
    if blob.size != layer.size:
        return f"layer {layer.digest} has {blob.size} bytes, its manifest says {layer.size}"
    return ""
