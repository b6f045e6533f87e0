from dataclasses import replace
from pathlib import Path

from pipeline.domain.evidence import CheckedModel, Refused
from pipeline.errors import NotFoundError
from pipeline.image.config import host_platform
from pipeline.steps.check import check
from tests.fakes.model_registry import FakeModelRegistry
from tests.fakes.serving_target import FakeServingTarget
from tests.unit.steps.model_scene import PLAN, Scene


def test_a_model_with_every_required_tag_passes(tmp_path: Path) -> None:
    resolved = replace(Scene.of("sk-pickle", tmp_path).resolved(), tags={"validated": "true"})
    plan = replace(PLAN, required_tags={"validated": "true"})
    assert check(
        resolved, plan=plan, target=FakeServingTarget(), registry=FakeModelRegistry()
    ) == CheckedModel(resolved, ("tag validated",))


def test_a_model_passes_where_nothing_is_required(tmp_path: Path) -> None:
    resolved = Scene.of("sk-pickle", tmp_path).resolved()
    assert check(
        resolved, plan=PLAN, target=FakeServingTarget(), registry=FakeModelRegistry()
    ) == CheckedModel(resolved, ())


def test_a_model_that_lacks_a_tag_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    resolved = replace(Scene.of("sk-pickle", tmp_path).resolved(), tags={"validated": "True"})
    plan = replace(PLAN, required_tags={"validated": "true", "owner": "ada"})
    refused = check(resolved, plan=plan, target=FakeServingTarget(), registry=FakeModelRegistry())
    assert isinstance(refused, Refused)
    assert "fraud/3 may not be promoted to fraud: tag owner is not set" in refused.reason
    assert refused.evidence == {
        "unmet": [
            "tag owner is not set, required is 'ada'",
            "tag validated is 'True', required is 'true'",
        ]
    }


def test_an_image_for_machines_that_the_service_has_not_is_refused(tmp_path: Path) -> None:
    plan = replace(PLAN, platform="linux/s390x")
    refused = check(
        Scene.of("sk-pickle", tmp_path).resolved(),
        plan=plan,
        target=FakeServingTarget(),
        registry=FakeModelRegistry(),
    )
    assert isinstance(refused, Refused)
    assert f"for linux/s390x, and it runs on {host_platform()}" in refused.reason


def test_what_the_target_objects_to_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    target = FakeServingTarget()
    target.objections = "it may not patch inferenceservices: grant k8s/services/role.yaml"
    refused = check(
        Scene.of("sk-pickle", tmp_path).resolved(),
        plan=PLAN,
        target=target,
        registry=FakeModelRegistry(),
    )
    assert refused == Refused(
        "fraud/3 cannot be rolled out to fraud: "
        "it may not patch inferenceservices: grant k8s/services/role.yaml"
    )


def test_the_diff_of_a_change_that_nobody_allowed_is_evidence(tmp_path: Path) -> None:
    target = FakeServingTarget()
    target.objections = "it serves another image: set adopt: true\n-image: a\n+image: b"
    refused = check(
        Scene.of("sk-pickle", tmp_path).resolved(),
        plan=PLAN,
        target=target,
        registry=FakeModelRegistry(),
    )
    assert refused == Refused(
        "fraud/3 cannot be rolled out to fraud: it serves another image: set adopt: true",
        {"diff": ["-image: a", "+image: b"]},
    )


def test_an_image_for_other_machines_than_the_worker_s_is_refused(tmp_path: Path) -> None:
    target = FakeServingTarget(platforms=("linux/s390x", host_platform()))
    plan = replace(PLAN, platform="linux/s390x")
    refused = check(
        Scene.of("sk-pickle", tmp_path).resolved(),
        plan=plan,
        target=target,
        registry=FakeModelRegistry(),
    )
    assert isinstance(refused, Refused)
    assert f"this worker is {host_platform()}" in refused.reason


def judged(tmp_path: Path, required: dict[str, str], **measured: float) -> CheckedModel | Refused:
    """Check a version whose run has these metrics."""
    registry = FakeModelRegistry()
    registry.measured["run-7"] = measured
    resolved = replace(Scene.of("sk-pickle", tmp_path).resolved(), run_id="run-7")
    plan = replace(PLAN, required_metrics=required)
    return check(resolved, plan=plan, target=FakeServingTarget(), registry=registry)


def test_a_run_that_is_good_enough_passes(tmp_path: Path) -> None:
    checked = judged(tmp_path, {"loss": "< 0.2", "auc": ">= 0.90"}, auc=0.9, loss=0.1)
    assert isinstance(checked, CheckedModel)
    assert checked.passed == ("metric auc >= 0.90", "metric loss < 0.2")


def test_a_run_that_is_not_good_enough_is_refused_with_what_is_there(tmp_path: Path) -> None:
    refused = judged(tmp_path, {"auc": ">= 0.90", "loss": "< 0.2"}, auc=float("nan"), rmse=1.5)
    assert isinstance(refused, Refused)
    assert refused.evidence["unmet"] == [
        "metric auc is nan, required is >= 0.90",
        "metric loss is not there (the run has auc, rmse), required is < 0.2",
    ]
    assert refused.reason.endswith("; promote a version whose run is good enough")


def test_a_version_without_a_run_has_no_metrics(tmp_path: Path) -> None:
    resolved = replace(Scene.of("sk-pickle", tmp_path).resolved(), run_id=None)
    plan = replace(PLAN, required_metrics={"auc": "> 0"})
    refused = check(resolved, plan=plan, target=FakeServingTarget(), registry=FakeModelRegistry())
    assert isinstance(refused, Refused)
    assert "it has no run whose metrics could be read" in refused.reason


def test_a_run_that_was_deleted_has_no_metrics(tmp_path: Path) -> None:
    class Forgetful(FakeModelRegistry):
        def metrics(self, run_id: str, workspace: str) -> dict[str, float]:
            raise NotFoundError("read the metrics", f"{workspace}{run_id}", "it was deleted")

    resolved = replace(Scene.of("sk-pickle", tmp_path).resolved(), run_id="run-7")
    plan = replace(PLAN, required_metrics={"auc": "> 0"})
    refused = check(resolved, plan=plan, target=FakeServingTarget(), registry=Forgetful())
    assert isinstance(refused, Refused)
    assert "its run run-7 was deleted, with its metrics" in refused.reason
