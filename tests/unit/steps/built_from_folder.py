"""Builds an image from the folders named on its command line, and prints its digests as JSON.

A program of its own, so that user, mask, time zone, hash seed and working folder can be others.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from pipeline.adapters.layer_builder import LayerBuilder
from pipeline.adapters.layer_store import LayerStore
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.adapters.lock_environments import LockEnvironments
from pipeline.domain.content import Content
from pipeline.domain.evidence import (
    BuiltImage,
    CheckedModel,
    DescribedModel,
    Lock,
    LockedModel,
    ModelDescription,
    Refused,
    ResolvedModel,
    StoredFile,
)
from pipeline.domain.oci import Base, Layer
from pipeline.domain.plan import Plan
from pipeline.domain.references import Digest, ModelVersion
from pipeline.image.config import host_platform
from pipeline.image.tar import file_chunks
from pipeline.ports import ImageRegistry
from pipeline.steps.build import build

LOCK = Lock("package==1 --hash=sha256:0\n", Digest.of(b"lock"), "mlflow", "3.11")
PLAN = Plan("fraud", "fraud", repository="ml/fraud")
MODEL = {
    "MLmodel": b"flavors:\n  python_function: {}\n",
    "requirements.txt": b"package==1\n",
    "data/model.pkl": b"\x80\x04." * 9000,
    "data/weights (1) \xc3\xbc.bin".encode("latin-1").decode(): bytes(5_000_000),
}


class FolderStore:
    """Files of one folder (``ports.ArtifactStore``); ``reads`` counts how often each was opened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reads: dict[str, int] = {}

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...]:
        assert not artifact_uri
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return tuple(
            StoredFile(path.relative_to(self.folder).as_posix(), path.stat().st_size)
            for path in found
        )

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        assert not artifact_uri
        self.reads[file.path] = self.reads.get(file.path, 0) + 1
        return file_chunks(self.folder / file.path)


class SmallEnvironment:
    """Installs one package (``ports.LockResolver``), as untidy as the mask makes it."""

    def resolve(
        self, requirements: object, *, runtime: str, python_version: str, fresh: bool = False
    ) -> Lock | Refused:
        return Refused(f"{requirements} {runtime} {python_version} {fresh}: the lock is given")

    def install(self, lock: Lock, target: Path, *, python: Path) -> None:
        (target / "package").mkdir()
        (target / "package" / "__init__.py").write_text(lock.text)
        (target / "tool").write_text(f"{python.is_absolute()}\n")
        (target / "tool").chmod(0o700)


class SmallBase:
    """A base of one small layer (``ports.BaseImages``)."""

    def provide(
        self,
        base: str,
        repository: str,
        *,
        platform: str,
        python_version: str,
        registry: ImageRegistry,
    ) -> Base:
        assert (platform, python_version) == (host_platform(), LOCK.python_version)
        layer = Layer.plain(
            registry.push_blob(repository, Content.of(base.encode().ljust(1024, b"\0")))
        )
        return Base(layer.diff_id, (layer,), "/opt/python/bin/python3", {"BASE": "1"})


def locked(files: tuple[StoredFile, ...], digests: dict[str, str] | None = None) -> LockedModel:
    resolved = ResolvedModel(
        ModelVersion("fraud", 7), "champion", "r-1", "m-1", "models:/m-1", "", {}
    )
    description = ModelDescription(
        "3.17.2", "3.11", ("python_function",), ("package==1",), "[]", None, digests or {}
    )
    return LockedModel(DescribedModel(CheckedModel(resolved, ()), files, description), LOCK)


def built_from(
    store: FolderStore, work: Path, model: LockedModel | None = None
) -> BuiltImage | Refused:
    return build(
        model or locked(store.files("")),
        plan=PLAN,
        store=store,
        builder=LayerBuilder(
            SmallBase(), LockEnvironments(SmallEnvironment(), LayerStore(work / "cache"))
        ),
        registry=LayoutRegistry(work / "images"),
    )


def write_model(folder: Path) -> Path:
    for path, content in MODEL.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return folder


if __name__ == "__main__":
    made = built_from(FolderStore(Path(sys.argv[1])), Path(sys.argv[2]))
    assert isinstance(made, BuiltImage)
    print(json.dumps([made.ref.digest.value, *(layer.value for layer in made.layers)]))  # noqa: T201 - its result
