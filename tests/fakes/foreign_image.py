"""Images of other people, in OCI's words or Docker's, pushed as they push them."""

import gzip
import json
from dataclasses import dataclass, field

from pipeline.domain.content import Content
from pipeline.domain.oci import (
    IMAGE_CONFIG,
    IMAGE_INDEX,
    IMAGE_MANIFEST,
    IN_OCI_WORDS,
    LAYER_GZIP,
)
from pipeline.domain.references import Digest
from pipeline.ports import ImageRegistry

_IN_DOCKER_WORDS = {oci: docker for docker, oci in IN_OCI_WORDS.items()}


@dataclass(frozen=True)
class ForeignImage:
    """What an image says of itself; each layer is one tar, pushed gzip-compressed."""

    layers: tuple[bytes, ...]
    platform: str = "linux/amd64"
    env: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin"})
    docker: bool = False
    layer_type: str = LAYER_GZIP

    def push(self, registry: ImageRegistry, repository: str) -> Digest:
        """Push the image; its manifest's digest."""
        content = self._manifest(registry, repository)
        return registry.push_manifest(repository, content, self._word(IMAGE_MANIFEST))

    def _manifest(self, registry: ImageRegistry, repository: str) -> bytes:
        os, _, rest = self.platform.partition("/")
        architecture, _, variant = rest.partition("/")
        config = {
            "os": os,
            "architecture": architecture,
            "variant": variant,
            "config": {"Env": [f"{name}={value}" for name, value in self.env.items()]},
            "rootfs": {
                "type": "layers",
                "diff_ids": [Digest.of(layer).value for layer in self.layers],
            },
        }
        said = {
            "schemaVersion": 2,
            "mediaType": self._word(IMAGE_MANIFEST),
            "config": self._blob(
                registry, repository, json.dumps(config).encode(), self._word(IMAGE_CONFIG)
            ),
            "layers": [
                self._blob(
                    registry,
                    repository,
                    gzip.compress(layer, 1, mtime=0),
                    self._word(self.layer_type),
                )
                for layer in self.layers
            ],
        }
        return json.dumps(said, indent=2).encode()  # bytes that nobody may write anew

    def _blob(
        self, registry: ImageRegistry, repository: str, content: bytes, media_type: str
    ) -> dict[str, object]:
        blob = registry.push_blob(repository, Content.of(content))
        return {"mediaType": media_type, "digest": blob.digest.value, "size": blob.size}

    def _word(self, oci: str) -> str:
        return _IN_DOCKER_WORDS.get(oci, oci) if self.docker else oci


def push_index(registry: ImageRegistry, repository: str, *images: ForeignImage) -> Digest:
    """Push an index of images, in the words of the first; its digest."""
    manifests = []
    for image in images:
        digest = image.push(registry, repository)
        os, _, rest = image.platform.partition("/")
        architecture, _, variant = rest.partition("/")
        content = registry.manifest(repository, digest.value) or b""
        manifests.append(
            {
                "mediaType": image._word(IMAGE_MANIFEST),
                "digest": digest.value,
                "size": len(content),
                "platform": {"os": os, "architecture": architecture, "variant": variant},
            }
        )
    kind = images[0]._word(IMAGE_INDEX)
    said = {"schemaVersion": 2, "mediaType": kind, "manifests": manifests}
    return registry.push_manifest(repository, json.dumps(said, indent=2).encode(), kind)
