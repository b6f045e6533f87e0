"""A plan and an image become the fields that Laurel owns, and not one more."""

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from pipeline.domain.plan import EnvVar, Plan
from pipeline.domain.pods import Probe
from pipeline.kserve.annotations import FIELDS, SHIELDED, UNDO, annotations_of, shielded
from pipeline.kserve.fields import container_of
from pipeline.kserve.json_patch import Json, difference
from pipeline.kserve.spec import changed, created, image_of, undone
from tests.unit.kserve.plans import PLANS, REPOSITORY, foreign, image, plan

ANY = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


def container(isvc: Json) -> Json:
    found = container_of(isvc)
    assert found is not None
    return found


def env(isvc: Json) -> dict[str, Any]:
    return {
        one["name"]: one.get("value", one.get("valueFrom", "")) for one in container(isvc)["env"]
    }


def test_a_new_service_is_locked_up_and_says_what_kserve_would_fill_in() -> None:
    isvc = created(plan(), image(), "ml")
    assert isvc["metadata"]["name"] == "fraud"
    assert isvc["metadata"]["namespace"] == "ml"
    assert annotations_of(isvc)["serving.kserve.io/deploymentMode"] == "Knative"
    assert annotations_of(isvc)["serving.kserve.io/enable-tag-routing"] == "true"
    assert annotations_of(isvc)["serving.knative.dev/progress-deadline"] == "600s"
    assert shielded(isvc)
    predictor = isvc["spec"]["predictor"]
    assert predictor["minReplicas"] == 1
    assert predictor["automountServiceAccountToken"] is False
    assert predictor["volumes"] == [{"name": "laurel-tmp", "emptyDir": {}}]
    only = container(isvc)
    amounts = {"cpu": "1", "memory": "2Gi"}
    assert only["resources"] == {"requests": amounts, "limits": amounts}
    assert only["name"] == "kserve-container"
    assert only["image"] == str(image().ref)
    assert only["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
    assert only["readinessProbe"]["httpGet"] == {"path": "/v2/health/ready", "port": 8080}
    assert only["readinessProbe"]["periodSeconds"] == 5
    assert only["securityContext"]["readOnlyRootFilesystem"] is True
    assert only["securityContext"]["runAsNonRoot"] is True
    assert only["securityContext"]["allowPrivilegeEscalation"] is False
    assert env(isvc) == {"PROTOCOL": "v2"}
    assert UNDO not in annotations_of(isvc)


def test_every_setting_of_a_service_stands_in_its_place() -> None:
    isvc = created(
        plan(
            EnvVar("REGION", "eu"),
            EnvVar("API_KEY", None, "keys", "api"),
            requests={"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"},
            limits={"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "1"},
            service_account="models",
            pull_secrets=("regcred",),
            node_selector={"disk": "fast"},
            probe=Probe(1, 2, 3, 4),
            timeout=30,
            progress_deadline=120,
            min_replicas=0,
            max_replicas=4,
            keep_warm=600,
        ),
        image(),
        "ml",
    )
    predictor, only = isvc["spec"]["predictor"], container(isvc)
    assert env(isvc)["REGION"] == "eu"
    assert env(isvc)["API_KEY"] == {"secretKeyRef": {"name": "keys", "key": "api"}}
    assert only["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"}
    assert only["resources"]["limits"]["cpu"] == "1"
    assert predictor["serviceAccountName"] == "models"
    assert predictor["imagePullSecrets"] == [{"name": "regcred"}]
    assert predictor["nodeSelector"] == {"disk": "fast"}
    assert only["readinessProbe"] == {
        "httpGet": {"path": "/v2/health/ready", "port": 8080},
        "periodSeconds": 1,
        "timeoutSeconds": 2,
        "initialDelaySeconds": 3,
        "failureThreshold": 4,
    }
    assert (predictor["timeout"], predictor["minReplicas"], predictor["maxReplicas"]) == (30, 0, 4)
    said = annotations_of(isvc)
    assert said["serving.knative.dev/progress-deadline"] == "120s"
    assert said["autoscaling.knative.dev/window"] == "600s"
    assert said["autoscaling.knative.dev/panic-window-percentage"] == "1"


@pytest.mark.parametrize(("keep_warm", "share"), [(60, "10"), (120, "5"), (600, "1"), (3600, "1")])
def test_a_burst_is_seen_as_soon_as_before_in_pods_that_are_kept_warm(
    keep_warm: int, share: str
) -> None:
    said = annotations_of(created(plan(keep_warm=keep_warm), image(), "ml"))
    assert said["autoscaling.knative.dev/panic-window-percentage"] == share


@pytest.mark.parametrize(
    ("value", "written"),
    [("$(HOME)", "$$(HOME)"), ("a$$b", "a$$$$b"), ("5$", "5$"), ("$x", "$x")],
)
def test_a_value_means_itself_where_kubernetes_would_put_variables_in(
    value: str, written: str
) -> None:
    assert env(created(plan(EnvVar("A", value)), image(), "ml"))["A"] == written


def test_an_empty_value_is_written_as_the_api_server_keeps_it() -> None:
    assert container(created(plan(EnvVar("A", "")), image(), "ml"))["env"][-1] == {"name": "A"}


@ANY
@given(PLANS)
def test_the_same_plan_and_image_are_the_same_bytes(service: Plan) -> None:
    first = json.dumps(created(service, image(), "ml"))
    assert json.dumps(created(service, image(), "ml")) == first


@ANY
@given(PLANS)
def test_a_repeated_deploy_changes_nothing(service: Plan) -> None:
    isvc = created(service, image(), "ml")
    assert difference(isvc, changed(isvc, service, image())) == []


@ANY
@given(PLANS, PLANS)
def test_a_change_made_twice_is_the_change_made_once(one: Plan, other: Plan) -> None:
    once = changed(created(one, image(), "ml"), other, image(b"v2"))
    assert difference(once, changed(once, other, image(b"v2"))) == []
    assert image_of(once) == str(image(b"v2").ref)


@ANY
@given(PLANS, PLANS)
def test_what_was_changed_is_put_back_to_the_byte(one: Plan, other: Plan) -> None:
    before = created(one, image(), "ml")
    after = changed(before, other, image(b"v2"))
    assert UNDO in annotations_of(after)
    assert difference(undone(after), before) == []


@ANY
@given(PLANS, PLANS, PLANS)
def test_a_change_of_a_change_is_undone_to_what_was_before_both(
    one: Plan, other: Plan, third: Plan
) -> None:
    before = created(one, image(), "ml")
    twice = changed(changed(before, other, image(b"v2")), third, image(b"v3"))
    assert difference(undone(twice), before) == []


@ANY
@given(PLANS, PLANS)
def test_what_others_set_survives_every_change(one: Plan, other: Plan) -> None:
    isvc = created(one, image(), "ml")
    isvc["metadata"]["annotations"]["team"] = "fraud"
    isvc["metadata"]["labels"] = {"team": "fraud"}
    predictor, only = isvc["spec"]["predictor"], container(isvc)
    predictor["logger"] = {"mode": "all"}
    predictor["containerConcurrency"] = 5
    predictor["annotations"]["theirs"] = "x"
    only["env"].insert(0, {"name": "THEIRS", "value": "1"})
    only["resources"]["limits"]["ephemeral-storage"] = "1Gi"
    after = changed(isvc, other, image(b"v2"))
    assert after["metadata"]["labels"] == {"team": "fraud"}
    assert annotations_of(after)["team"] == "fraud"
    assert after["spec"]["predictor"]["logger"] == {"mode": "all"}
    assert after["spec"]["predictor"]["containerConcurrency"] == 5
    assert after["spec"]["predictor"]["annotations"]["theirs"] == "x"
    assert container(after)["env"][0] == {"name": "THEIRS", "value": "1"}
    assert container(after)["resources"]["limits"]["ephemeral-storage"] == "1Gi"


def test_a_field_that_laurel_yaml_never_set_is_never_touched() -> None:
    isvc = created(plan(), image(), "ml")
    isvc["spec"]["predictor"]["timeout"] = 17
    container(isvc)["env"].append({"name": "REGION", "value": "us"})
    after = changed(isvc, plan(), image(b"v2"))
    assert after["spec"]["predictor"]["timeout"] == 17
    assert env(after)["REGION"] == "us"


def test_what_is_taken_out_of_laurel_yaml_goes_with_the_next_change() -> None:
    before = plan(
        EnvVar("REGION", "eu"),
        timeout=30,
        keep_warm=600,
        node_selector={"a.b/c": "x"},
        limits={"nvidia.com/gpu": "1"},
        pull_secrets=("regcred",),
    )
    after = changed(created(before, image(), "ml"), plan(), image(b"v2"))
    predictor = after["spec"]["predictor"]
    assert "timeout" not in predictor
    assert "imagePullSecrets" not in predictor
    assert predictor["nodeSelector"] == {}
    assert "nvidia.com/gpu" not in container(after)["resources"]["limits"]
    assert env(after) == {"PROTOCOL": "v2"}
    assert "autoscaling.knative.dev/window" not in annotations_of(after)


def test_amounts_and_probes_stay_when_laurel_yaml_says_nothing_of_them_any_more() -> None:
    before = plan(requests={"cpu": "2"}, limits={"cpu": "2"}, probe=Probe(1))
    after = changed(created(before, image(), "ml"), plan(), image(b"v2"))
    assert container(after)["resources"]["requests"]["cpu"] == "2"
    assert container(after)["readinessProbe"]["periodSeconds"] == 1


def test_an_amount_that_the_api_server_wrote_otherwise_is_left_alone() -> None:
    half = plan(requests={"cpu": "0.5"}, limits={"cpu": "1"})
    isvc = created(half, image(), "ml")
    container(isvc)["resources"]["requests"]["cpu"] = "500m"
    assert difference(isvc, changed(isvc, half, image())) == []


def test_a_variable_changes_where_it_stands() -> None:
    isvc = created(plan(EnvVar("A", "1"), EnvVar("B", "1")), image(), "ml")
    after = changed(isvc, plan(EnvVar("A", "2"), EnvVar("B", "1")), image())
    assert [one["name"] for one in container(after)["env"]] == ["PROTOCOL", "A", "B"]
    assert env(after)["A"] == "2"


def test_a_service_without_any_container_of_its_own_has_no_image() -> None:
    assert image_of(foreign(model={"modelFormat": {"name": "mlflow"}})) is None


def test_the_models_container_is_known_by_its_name_else_it_is_the_first() -> None:
    both = foreign(containers=[{"name": "a", "image": "x"}, {"name": "kserve-container"}])
    assert container(both)["name"] == "kserve-container"
    assert container(foreign(containers=[{"image": "x"}, {"name": "b"}]))["image"] == "x"


def test_an_annotation_changes_freely_only_behind_the_whole_shield() -> None:
    isvc = created(plan(), image(), "ml")
    assert shielded(isvc)
    for key in SHIELDED:
        without = deepcopy(isvc)
        del without["spec"]["predictor"]["annotations"][key]
        assert not shielded(without)
        without["spec"]["predictor"]["annotations"][key] = "something else"
        assert not shielded(without)
    assert not shielded(foreign())


@pytest.mark.parametrize(
    "spoilt",
    ["{", "[1]", '"x"', "7", "null", '{"container": 5}', '{"predictor": [["a"]]}', "[" * 100_000],
    ids=["cut", "a list", "a text", "a number", "null", "no object", "a list inside", "deep"],
)
def test_a_note_that_was_spoilt_by_hand_undoes_nothing_and_breaks_nothing(spoilt: str) -> None:
    isvc = created(plan(), image(), "ml")
    clean = deepcopy(isvc)
    isvc["metadata"]["annotations"][UNDO] = spoilt
    assert difference(undone(isvc), clean) == []


@pytest.mark.parametrize(
    "spoilt",
    ['["/containers"]', '["/container/env"]', "[1, null]", "{}", "x", '["/env"]', '["/a/b/c/d/e"]'],
)
def test_a_note_of_fields_that_was_spoilt_by_hand_removes_nothing(spoilt: str) -> None:
    isvc = created(plan(), image(), "ml")
    clean = deepcopy(isvc["spec"])
    isvc["metadata"]["annotations"][FIELDS] = spoilt
    assert changed(isvc, plan(), image())["spec"] == clean


def test_a_field_that_somebody_took_out_already_is_missed_by_nobody() -> None:
    isvc = created(plan(EnvVar("A", "1"), node_selector={"disk": "x"}), image(), "ml")
    del isvc["spec"]["predictor"]["nodeSelector"]
    del container(isvc)["env"]
    after = changed(isvc, plan(), image(b"v2"))
    assert "env" not in container(after)
    assert after["metadata"]["annotations"][FIELDS] == "[]"


def test_an_image_is_named_by_digest_and_nothing_is_fetched_at_start() -> None:
    isvc = created(plan(), image(), "ml")
    assert str(image_of(isvc)).startswith(f"{REPOSITORY}@sha256:")
    assert "STORAGE_URI" not in env(isvc)
    assert "model" not in isvc["spec"]["predictor"]
