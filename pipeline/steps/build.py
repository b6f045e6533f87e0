"""Build: a locked model becomes an image in the registry, without a container engine.

Base | environment, by lock | model, streamed in one pass | what starts the runtime. Safe to
repeat: the same inputs give the same bytes, and what the registry has is not stored twice.
"""

from functools import partial

from pipeline.domain.evidence import BuiltImage, DescribedModel, LockedModel, Refused
from pipeline.domain.oci import IMAGE_CONFIG, IMAGE_MANIFEST, Base, Descriptor, Layer
from pipeline.domain.plan import Plan
from pipeline.domain.references import Digest, ImageRef, model_slug
from pipeline.errors import CorruptedError
from pipeline.image.config import ImageConfig, host_platform
from pipeline.image.manifest import Manifest
from pipeline.image.model_files import ModelFiles, unfit_listing
from pipeline.image.tar import File, tar_stream
from pipeline.image.version_key import repository_of, version_key
from pipeline.ports import ArtifactStore, BaseImages, Environments, ImageRegistry
from pipeline.runtimes.serving import runtime_env, serve_files

_SERVE = "/opt/laurel/serve"
_ENV = {
    "HOME": "/tmp",  # noqa: S108 - in the image: the one place it may write
    "LANG": "C.UTF-8",
    "PATH": "/opt/python/bin:/usr/local/bin:/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": "/opt/laurel/env",
}


def build(
    locked: LockedModel,
    *,
    plan: Plan,
    store: ArtifactStore,
    environments: Environments,
    bases: BaseImages,
    registry: ImageRegistry,
) -> BuiltImage | Refused:
    """Put the image together and push it, untagged.

    Refused: file names that no image may hold, and files that are not what the store listed or
    what the model was resolved from.
    """
    described, repository = locked.described, repository_of(plan)
    resolved = described.checked.resolved
    if unfit := unfit_listing(described.files):
        return Refused(f"{resolved.model}: {unfit}: log the model again without it")
    model = ModelFiles(described.files, partial(store.read, resolved.artifact_uri))
    layers = _push_model(model, described, repository, registry)
    if isinstance(layers, Refused):
        return layers
    base = bases.provide(plan.base, repository, registry=registry)
    environment = environments.provide(locked.lock, repository, registry=registry)
    serving = _push_serving(locked.lock.runtime, repository, registry)
    every = (*base.layers, environment, *layers, serving)
    labels = _labels(locked, plan, base, model.artifact_digest)
    config = _config(base, model_slug(resolved.model.name), every, labels)
    return BuiltImage(
        ref=_push_image(config, every, repository, registry),
        model=resolved.model,
        alias=resolved.alias,
        run_id=resolved.run_id,
        model_id=resolved.model_id,
        source=resolved.source,
        runtime=locked.lock.runtime,
        slug=model_slug(resolved.model.name),
        artifact_digest=model.artifact_digest,
        lock_digest=locked.lock.digest,
        base_digest=base.digest,
        platform=host_platform(),
        layers=config.diff_ids,
        version_key=version_key(resolved, plan),
        example=described.description.example,
        signature=described.description.signature,
    )


def _push_model(
    model: ModelFiles, described: DescribedModel, repository: str, registry: ImageRegistry
) -> tuple[Layer, ...] | Refused:
    subject = described.checked.resolved.model
    try:
        blobs = [registry.push_blob(repository, stream) for stream in model.layers()]
    except CorruptedError as error:
        return Refused(f"{subject} changed while it was read, promote it again: {error}")
    digests = model.digests
    for path, expected in described.description.digests.items():
        if digests.get(path) != Digest(expected):
            return Refused(
                f"{subject}: {path} changed since the model was described: promote it again",
                {"path": path, "described": expected},
            )
    return tuple(Layer.plain(blob) for blob in blobs)


def _push_serving(runtime: str, repository: str, registry: ImageRegistry) -> Layer:
    files = [
        File.of(path, content, executable=f"/{path}" == _SERVE)
        for path, content in serve_files(runtime).items()
    ]
    return Layer.plain(registry.push_blob(repository, tar_stream(files)))


def _labels(locked: LockedModel, plan: Plan, base: Base, artifact_digest: Digest) -> dict[str, str]:
    resolved = locked.described.checked.resolved
    labels = {
        "org.opencontainers.image.title": resolved.model.name,
        "org.opencontainers.image.version": str(resolved.model.version),
        "org.opencontainers.image.source": resolved.source,
        "org.opencontainers.image.base.name": plan.base,
        "org.opencontainers.image.base.digest": base.digest.value,
        "dev.laurel.model.name": resolved.model.name,
        "dev.laurel.model.version": str(resolved.model.version),
        "dev.laurel.model.workspace": resolved.model.workspace,
        "dev.laurel.model.run_id": resolved.run_id,
        "dev.laurel.artifact.digest": artifact_digest.value,
        "dev.laurel.lock.digest": locked.lock.digest.value,
        "dev.laurel.runtime": locked.lock.runtime,
    }
    return {name: text for name, text in labels.items() if text}


def _config(
    base: Base, slug: str, layers: tuple[Layer, ...], labels: dict[str, str]
) -> ImageConfig:
    return ImageConfig(
        architecture=host_platform().partition("/")[2],
        entrypoint=(base.python, _SERVE),
        env={**_ENV, **base.env, **runtime_env(slug)},
        diff_ids=tuple(layer.diff_id for layer in layers),
        labels=labels,
    )


def _push_image(
    config: ImageConfig, layers: tuple[Layer, ...], repository: str, registry: ImageRegistry
) -> ImageRef:
    """Push configuration and manifest, last: a manifest never names what is not there."""
    blob = registry.push_blob(repository, [config.to_bytes()])
    manifest = Manifest(
        Descriptor(IMAGE_CONFIG, blob.digest, blob.size),
        tuple(layer.descriptor for layer in layers),
        config.labels,
    )
    return ImageRef(
        repository, registry.push_manifest(repository, manifest.to_bytes(), IMAGE_MANIFEST)
    )
