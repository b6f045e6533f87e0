"""Build: a locked model becomes an image in the registry.

Says what the image consists of; a builder puts it together. Safe to repeat: the same inputs give
the same bytes, and what the registry has is not stored twice.
"""

from functools import partial

from pipeline.domain.content import File
from pipeline.domain.evidence import BuiltImage, LockedModel, Refused
from pipeline.domain.oci import Base
from pipeline.domain.plan import Plan
from pipeline.domain.recipe import Recipe
from pipeline.domain.references import Digest, model_slug, without_credentials
from pipeline.errors import CorruptedError
from pipeline.image.model_files import ModelFiles, unfit_listing
from pipeline.image.version_key import platform_of, repository_of, version_key
from pipeline.ports import ArtifactStore, ImageBuilder, ImageRegistry
from pipeline.runtimes.serving import runtime_env, serve_files

_SERVE = "/opt/laurel/serve"
_ENV = {  # PATH is the base's: only it knows where its programs lie
    "HOME": "/tmp",  # noqa: S108 - in the image: the one place it may write
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": "/opt/laurel/env",
}


def build(
    locked: LockedModel,
    *,
    plan: Plan,
    store: ArtifactStore,
    builder: ImageBuilder,
    registry: ImageRegistry,
) -> BuiltImage | Refused:
    """Put the image together and push it, untagged.

    Refused: file names that no image may hold, a base that does not fit, and files that are not
    what the store listed or what the model was resolved from.
    """
    described = locked.described
    resolved = described.checked.resolved
    if unfit := unfit_listing(described.files):
        return Refused(f"{resolved.model}: {unfit}: log the model again without it")
    known = described.description.digests
    if gone := sorted(set(known) - {file.path for file in described.files}):
        return Refused(f"{resolved.model}: {gone[0]} is not listed any more: promote it again")
    model = ModelFiles(described.files, partial(store.read, resolved.artifact_uri), known)
    try:
        made = builder.build(_recipe(locked, plan, model), registry=registry)
    except CorruptedError as error:
        if not model.changed:  # then a registry is at fault, or this machine's disk
            raise
        return Refused(f"{resolved.model} changed while it was read, promote it again: {error}")
    if isinstance(made, Refused):
        return Refused(f"{resolved.model}: {made.reason}", made.evidence)
    return BuiltImage(
        ref=made.ref,
        model=resolved.model,
        alias=resolved.alias,
        run_id=resolved.run_id,
        model_id=resolved.model_id,
        source=resolved.source,
        runtime=locked.lock.runtime,
        slug=model_slug(resolved.model.name),
        artifact_digest=model.artifact_digest,
        lock_digest=locked.lock.digest,
        base_digest=made.base_digest,
        platform=platform_of(plan),
        layers=made.layers,
        version_key=version_key(resolved, plan),
        example=described.description.example,
        signature=described.description.signature,
    )


def _recipe(locked: LockedModel, plan: Plan, model: ModelFiles) -> Recipe:
    runtime, name = locked.lock.runtime, locked.described.checked.resolved.model.name
    return Recipe(
        repository=repository_of(plan),
        base=plan.base,
        platform=platform_of(plan),
        lock=locked.lock,
        model=model.layers(),
        serving=tuple(
            File.of(path, content, executable=f"/{path}" == _SERVE)
            for path, content in serve_files(runtime).items()
        ),
        env={**_ENV, **runtime_env(model_slug(name))},
        entrypoint=_SERVE,
        labels=lambda base: _labels(locked, plan, base, model.artifact_digest),
    )


def _labels(locked: LockedModel, plan: Plan, base: Base, artifact_digest: Digest) -> dict[str, str]:
    resolved = locked.described.checked.resolved
    labels = {
        "org.opencontainers.image.title": resolved.model.name,
        "org.opencontainers.image.version": str(resolved.model.version),
        "org.opencontainers.image.source": without_credentials(resolved.source),
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
