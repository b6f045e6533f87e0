"""Laurel's own builder: layers streamed into the registry, without a container engine.

Base | environment, by lock | model, in one pass | what starts the runtime. The same parts give the
same bytes, and what the registry has is not stored twice.
"""

from pipeline.domain.content import Content, Entry
from pipeline.domain.evidence import Refused
from pipeline.domain.oci import IMAGE_CONFIG, IMAGE_MANIFEST, Base, Descriptor, Layer
from pipeline.domain.recipe import Made, Recipe
from pipeline.domain.references import ImageRef
from pipeline.image.config import ImageConfig
from pipeline.image.manifest import Manifest
from pipeline.image.tar import tar_content
from pipeline.ports import BaseImages, Environments, ImageRegistry


class LayerBuilder:
    """Implements :class:`pipeline.ports.ImageBuilder`.

    Parameters
    ----------
    bases
        Provide what images stand on.
    environments
        Provide a lock's packages.

    """

    def __init__(self, bases: BaseImages, environments: Environments) -> None:
        self._bases = bases
        self._environments = environments

    def build(self, recipe: Recipe, *, registry: ImageRegistry) -> Made | Refused:
        """Put every layer into the registry, then configuration and manifest."""
        base = self._bases.provide(
            recipe.base,
            recipe.repository,
            platform=recipe.platform,
            python_version=recipe.lock.python_version,
            registry=registry,
        )
        if isinstance(base, Refused):
            return base
        model = [_push(files, recipe.repository, registry) for files in recipe.model]
        environment = self._environments.provide(recipe.lock, recipe.repository, registry=registry)
        serving = _push(recipe.serving, recipe.repository, registry)
        layers = (*base.layers, environment, *model, serving)
        ref = push_image(_config(recipe, base, layers), layers, recipe.repository, registry)
        return Made(ref, base.digest, tuple(layer.diff_id for layer in layers))


def _push(files: tuple[Entry, ...], repository: str, registry: ImageRegistry) -> Layer:
    return Layer.plain(registry.push_blob(repository, tar_content(files)))


def _config(recipe: Recipe, base: Base, layers: tuple[Layer, ...]) -> ImageConfig:
    return ImageConfig(
        architecture=recipe.platform.partition("/")[2],
        entrypoint=(base.python, recipe.entrypoint),
        env={**base.env, **recipe.env},
        diff_ids=tuple(layer.diff_id for layer in layers),
        labels=recipe.labels(base),
        working_dir=recipe.working_dir,
        command=recipe.command,
        healthcheck=recipe.healthcheck,
    )


def push_image(
    config: ImageConfig, layers: tuple[Layer, ...], repository: str, registry: ImageRegistry
) -> ImageRef:
    """Push configuration and manifest, last: a manifest never names what is not there."""
    blob = registry.push_blob(repository, Content.of(config.to_bytes()))
    manifest = Manifest(
        Descriptor(IMAGE_CONFIG, blob.digest, blob.size),
        tuple(layer.descriptor for layer in layers),
        config.labels,
    )
    return ImageRef(
        repository, registry.push_manifest(repository, manifest.to_bytes(), IMAGE_MANIFEST)
    )
