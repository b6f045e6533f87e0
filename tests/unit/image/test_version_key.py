"""One tag per model version, runtime, base, platform, builder and format."""

from dataclasses import replace

import pytest

from pipeline.domain.evidence import ResolvedModel
from pipeline.domain.plan import Plan
from pipeline.domain.references import ModelVersion
from pipeline.image import version_key as module
from pipeline.image.version_key import repository_of, version_key

PLAN = Plan("fraud", "fraud-scorer")
RESOLVED = ResolvedModel(
    model=ModelVersion("fraud-scorer", 7),
    alias="champion",
    run_id="r",
    model_id="m",
    source="models:/m",
    artifact_uri="/artifacts",
    tags={},
)


def test_the_key_is_a_tag_and_the_same_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert version_key(RESOLVED, PLAN) == "laurel-b05f9ecdb12cc6dd35ae8e60cbb239be"


def test_what_an_image_depends_on_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {
        version_key(RESOLVED, PLAN),
        version_key(RESOLVED, replace(PLAN, runtime="mlflow")),
        version_key(RESOLVED, replace(PLAN, base="other")),
        version_key(RESOLVED, replace(PLAN, platform="linux/s390x")),
        version_key(RESOLVED, replace(PLAN, builder="docker")),
        version_key(replace(RESOLVED, run_id=None), PLAN),
        version_key(replace(RESOLVED, model_id=None), PLAN),
        version_key(replace(RESOLVED, source="models:/n"), PLAN),
        *(
            version_key(replace(RESOLVED, model=model), PLAN)
            for model in (
                ModelVersion("fraud-scorer", 8),
                ModelVersion("other", 7),
                ModelVersion("fraud-scorer", 7, "team"),
            )
        ),
    }
    monkeypatch.setattr(module, "FORMAT", 0)
    keys.add(version_key(RESOLVED, PLAN))
    monkeypatch.setattr("platform.machine", lambda: "other")
    keys.add(version_key(RESOLVED, PLAN))
    assert len(keys) == 13


def test_neither_place_nor_alias_nor_service_change_the_key() -> None:
    other = replace(RESOLVED, alias=None, artifact_uri="/elsewhere", tags={"a": "b"})
    assert version_key(other, replace(PLAN, service="other")) == version_key(RESOLVED, PLAN)


def test_the_repository_is_the_service_s_or_the_model_s_slug() -> None:
    assert repository_of(PLAN) == "fraud-scorer"
    assert repository_of(replace(PLAN, repository="ml/fraud")) == "ml/fraud"
    assert repository_of(replace(PLAN, model="Fraud Scorer")).startswith("fraud-scorer-x")
