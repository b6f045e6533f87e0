"""A small image as ``build`` and ``smoke`` leave it, for tests of what comes after."""

from pipeline.domain.content import Content
from pipeline.domain.evidence import BuiltImage, SmokedImage
from pipeline.domain.oci import IMAGE_CONFIG, IMAGE_MANIFEST, LAYER, Descriptor
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.image.config import ImageConfig
from pipeline.image.manifest import Manifest
from pipeline.ports import ImageRegistry

MODEL = ModelVersion("fraud", 7)
ARTIFACTS, LOCK, BASE = Digest.of(b"artifacts"), Digest.of(b"lock"), Digest.of(b"base")
LABELS = {
    "dev.laurel.model.name": MODEL.name,
    "dev.laurel.model.version": str(MODEL.version),
    "dev.laurel.runtime": "mlserver",
    "dev.laurel.artifact.digest": ARTIFACTS.value,
    "dev.laurel.lock.digest": LOCK.value,
    "org.opencontainers.image.base.digest": BASE.value,
}


def bake(
    registry: ImageRegistry,
    *,
    repository: str = "ml/fraud",
    layers: tuple[bytes, ...] = (b"base", b"environment", b"model"),
    labels: dict[str, str] | None = None,
    example: str | None = None,
) -> SmokedImage:
    """Push an image of these layers and labels, which answered ``example`` when it was smoked."""
    blobs = [registry.push_blob(repository, Content.of(layer)) for layer in layers]
    config = ImageConfig(
        architecture="amd64",
        entrypoint=("/opt/laurel/serve",),
        env={},
        diff_ids=tuple(blob.digest for blob in blobs),
        labels=LABELS if labels is None else labels,
    ).to_bytes()
    stored = registry.push_blob(repository, Content.of(config))
    manifest = Manifest(
        Descriptor(IMAGE_CONFIG, stored.digest, stored.size),
        tuple(Descriptor(LAYER, blob.digest, blob.size) for blob in blobs),
        LABELS if labels is None else labels,
    ).to_bytes()
    digest = registry.push_manifest(repository, manifest, IMAGE_MANIFEST)
    built = _built(ImageRef(repository, digest), example)
    return SmokedImage(built, "ready" if example is None else "example", 1.0)


def _built(ref: ImageRef, example: str | None = None) -> BuiltImage:
    return BuiltImage(
        ref=ref,
        model=MODEL,
        alias="champion",
        run_id="r-1",
        model_id="m-1",
        source="models:/m-1",
        runtime="mlserver",
        slug="fraud",
        artifact_digest=ARTIFACTS,
        lock_digest=LOCK,
        base_digest=BASE,
        platform="linux/amd64",
        layers=(),
        version_key="laurel-0",
        example=example,
    )
