from dataclasses import replace
from pathlib import Path

from pipeline.domain.evidence import Refused, ResolvedModel
from pipeline.domain.references import ModelVersion
from pipeline.steps.resolve import resolve
from tests.unit.steps.model_scene import MODEL, PROMOTION, Registry, Scene


def test_a_version_becomes_its_run_and_the_place_of_its_files(tmp_path: Path) -> None:
    scene = Scene.of("sk-pickle", tmp_path)
    resolved = scene.resolved()
    assert (resolved.model, resolved.alias, resolved.run_id) == (MODEL, "champion", "r-1")
    assert (resolved.model_id, resolved.source) == ("m-1", "models:/m-1")
    assert resolved.artifact_uri == str(scene.folder)


def test_a_request_by_alias_means_the_version_that_the_alias_names_now(tmp_path: Path) -> None:
    asked = replace(PROMOTION, model=replace(MODEL, version=0))
    resolved = resolve(asked, registry=Registry(tmp_path))
    assert isinstance(resolved, ResolvedModel)
    assert resolved.model == MODEL


def test_a_request_by_an_alias_that_names_nothing_is_refused(tmp_path: Path) -> None:
    nobodys = replace(PROMOTION.plan, model="nobodys")
    asked = replace(PROMOTION, plan=nobodys, model=ModelVersion("nobodys", 0))
    refused = resolve(asked, registry=Registry(tmp_path))
    assert isinstance(refused, Refused)
    assert "@champion names no version of nobodys" in refused.reason


def test_a_deleted_version_is_refused(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    del registry.versions[MODEL]
    assert resolve(PROMOTION, registry=registry) == Refused(
        "fraud/3 is not in MLflow: register it again and move the alias"
    )
