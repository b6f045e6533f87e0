from pathlib import Path

from pipeline.domain.evidence import Refused
from pipeline.steps.resolve import resolve
from tests.unit.steps.model_scene import MODEL, PROMOTION, Registry, Scene


def test_a_version_becomes_its_run_and_the_place_of_its_files(tmp_path: Path) -> None:
    scene = Scene.of("sk-pickle", tmp_path)
    resolved = scene.resolved()
    assert (resolved.model, resolved.alias, resolved.run_id) == (MODEL, "champion", "r-1")
    assert (resolved.model_id, resolved.source) == ("m-1", "models:/m-1")
    assert resolved.artifact_uri == str(scene.folder)


def test_a_deleted_version_is_refused(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    del registry.versions[MODEL]
    assert resolve(PROMOTION, registry=registry) == Refused(
        "fraud/3 is not in MLflow any more: register it again and move the alias"
    )
