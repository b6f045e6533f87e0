"""Reads what a base image is: which of an index's images, of which layers, with which variables."""

from dataclasses import dataclass

from pipeline.domain.evidence import Refused
from pipeline.domain.oci import IMAGE_CONFIG, LAYER, LAYER_GZIP, Descriptor, Layer
from pipeline.domain.references import BaseRef
from pipeline.errors import CorruptedError, NotFoundError
from pipeline.image.base_image import BaseConfig, parse_base, parse_base_config
from pipeline.image.canonical import LIMIT
from pipeline.image.layers import layers_of
from pipeline.image.manifest import Manifest
from pipeline.ports import ImageRegistry


@dataclass(frozen=True, slots=True)
class BaseImage:
    """An image that others can stand on: its layers in OCI's words, and its variables."""

    layers: tuple[Layer, ...]
    env: dict[str, str]


class BaseReader:
    """Reads one base where it comes from.

    Parameters
    ----------
    ref
        What was written as ``base:``.
    repository, registry
        Where it is read.

    """

    def __init__(self, ref: BaseRef, repository: str, registry: ImageRegistry) -> None:
        self._ref = ref
        self._repository = repository
        self._registry = registry

    def read(self, platform: str) -> BaseImage | Refused:
        """Read manifest and configuration; refused without the platform or with odd layers."""
        manifest = self._manifest(platform)
        if isinstance(manifest, Refused):
            return manifest
        if odd := _odd(manifest):
            return Refused(
                f"base {self._ref} {odd}: choose another base, or push it as gzip layers"
            )
        config = self._config(manifest.config)
        if config.platform != platform:
            return self._without(platform, {config.platform})
        return BaseImage(layers_of(manifest, config.diff_ids), config.env)

    def _manifest(self, platform: str) -> Manifest | Refused:
        found = parse_base(self._bytes(self._ref.digest.value))
        if isinstance(found, Manifest):
            return found
        for offered in found:
            if offered.platform == platform:
                chosen = parse_base(self._bytes(offered.manifest.digest.value))
                if isinstance(chosen, Manifest):
                    return chosen
                hint = "its index names an index as an image: choose another base"
                raise CorruptedError("read a base", str(self._ref), hint)
        return self._without(platform, {offered.platform for offered in found})

    def _bytes(self, digest: str) -> bytes:
        content = self._registry.manifest(self._repository, digest)
        if content is None:
            hint = f"{self._repository} has no {digest}: write a digest that it has as base:"
            raise NotFoundError("read a base", str(self._ref), hint)
        return content

    def _config(self, descriptor: Descriptor) -> BaseConfig:
        """Read the configuration, no further than any may be long."""
        content = bytearray()
        for chunk in self._registry.read_blob(self._repository, descriptor.digest):
            content += chunk
            if len(content) > LIMIT:
                break
        return parse_base_config(bytes(content))

    def _without(self, platform: str, there: set[str]) -> Refused:
        named = sorted(name for name in there if not name.startswith("unknown"))
        has = f"it has {', '.join(named)}" if named else "it names none"
        return Refused(
            f"base {self._ref} has no image for {platform}, {has}: choose another base or another "
            "platform:",
            {"platforms": named},
        )


def _odd(manifest: Manifest) -> str:
    """Say in one clause why nothing can stand on this image; else ``""``."""
    if manifest.config.media_type != IMAGE_CONFIG:
        return f"is no image, its configuration is {manifest.config.media_type[:200]!r}"
    odd = {layer.media_type for layer in manifest.layers} - {LAYER, LAYER_GZIP}
    return f"has a layer of type {min(odd)[:200]!r}, which not every engine reads" if odd else ""
