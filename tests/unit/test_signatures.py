"""A version's signature is what its MLmodel says, or nothing."""

from pathlib import Path

import pytest

from pipeline.adapters.local_artifacts import LocalArtifacts
from pipeline.domain.evidence import Unknown
from pipeline.domain.references import ModelVersion
from pipeline.domain.registry import RegisteredVersion
from pipeline.errors import UnavailableError
from pipeline.signatures import signature_of
from tests.unit.steps.model_scene import MODEL, Registry, Scene


def read(scene: Scene) -> str | Unknown | None:
    return signature_of(MODEL, registry=Registry(scene.folder), store=LocalArtifacts())


@pytest.fixture
def recorded(tmp_path: Path) -> Scene:
    return Scene.of("sk-pickle", tmp_path)


def test_the_signature_of_a_recorded_model_is_read(recorded: Scene) -> None:
    assert recorded.described().description.signature == read(recorded) is not None


def test_of_a_version_that_mlflow_lost_nobody_knows(recorded: Scene) -> None:
    registry = Registry(recorded.folder)
    registry.versions.clear()
    assert isinstance(signature_of(MODEL, registry=registry, store=LocalArtifacts()), Unknown)


def test_a_model_without_a_signature_has_none(recorded: Scene) -> None:
    recorded.write("MLmodel", "flavors: {}")
    assert read(recorded) is None


@pytest.mark.parametrize("content", ["[", "a: [\n", "\x00", "x" * (2 << 20)])
def test_of_an_mlmodel_that_cannot_be_read_nobody_knows(recorded: Scene, content: str) -> None:
    recorded.write("MLmodel", content)
    assert isinstance(read(recorded), Unknown)


def test_of_a_folder_without_an_mlmodel_nobody_knows(recorded: Scene) -> None:
    (recorded.folder / "MLmodel").unlink()
    assert isinstance(read(recorded), Unknown)


def test_of_files_that_no_image_may_hold_nobody_knows(recorded: Scene) -> None:
    (recorded.folder / "link").symlink_to("/etc/hostname")
    assert isinstance(read(recorded), Unknown)


def test_an_mlflow_that_is_away_is_asked_again(recorded: Scene) -> None:
    class Away(Registry):
        def version(self, model: ModelVersion) -> RegisteredVersion:
            raise UnavailableError("read", str(model), "is it running?")

    with pytest.raises(UnavailableError):
        signature_of(MODEL, registry=Away(recorded.folder), store=LocalArtifacts())
