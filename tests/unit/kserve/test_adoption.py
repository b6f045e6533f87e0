"""An InferenceService of somebody else's is shown as it would become, and taken only if told so."""

from copy import deepcopy
from typing import Any

import pytest

from pipeline.domain.evidence import Refused
from pipeline.kserve.adoption import Adoption, adoption, foreign, preview
from pipeline.kserve.annotations import DIGEST, UNDO, annotations_of, shielded
from pipeline.kserve.json_patch import Json, difference
from pipeline.kserve.spec import changed, undone
from tests.unit.kserve import plans
from tests.unit.kserve.plans import NONE, REPOSITORY, image, plan

TMP = "/tmp"  # noqa: S108 - in a container
MODEL: dict[str, Any] = {
    "modelFormat": {"name": "mlflow"},
    "protocolVersion": "v2",
    "storageUri": "s3://models/fraud",
    "env": [{"name": "THEIRS", "value": "1"}],
    "resources": {
        "requests": {"cpu": "2", "memory": "4Gi"},
        "limits": {"cpu": "2", "memory": "4Gi"},
    },
}
ADOPT = plan(adopt=True)


def custom(**container: object) -> Json:
    isvc = plans.foreign()
    isvc["spec"]["predictor"]["containers"][0] |= container
    return isvc


def of_model(**model: object) -> Json:
    return plans.foreign(model=MODEL | model, serviceAccountName="s3", minReplicas=2)


def taken(isvc: Json) -> Adoption:
    found = adoption(isvc, ADOPT, image())
    assert isinstance(found, Adoption), found
    return found


def why_not(isvc: Json) -> str:
    found = adoption(isvc, ADOPT, image())
    assert isinstance(found, Refused)
    assert found.reason.startswith("fraud cannot be taken over as it is: ")
    return found.reason


def container(isvc: Json) -> Json:
    only: Json = isvc["spec"]["predictor"]["containers"][0]
    return only


def test_a_model_of_kserves_becomes_laurels_container_and_keeps_what_is_its_owners() -> None:
    before = of_model()
    after = taken(before).after
    predictor = after["spec"]["predictor"]
    assert "model" not in predictor
    assert (predictor["serviceAccountName"], predictor["minReplicas"]) == ("s3", 2)
    assert container(after)["image"] == str(image().ref)
    assert container(after)["resources"] == MODEL["resources"]
    assert container(after)["env"] == [
        {"name": "THEIRS", "value": "1"},
        {"name": "PROTOCOL", "value": "v2"},
    ]
    assert container(after)["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert container(after)["volumeMounts"] == [{"name": "laurel-tmp", "mountPath": TMP}]
    assert shielded(after)
    assert before == of_model()


def test_a_model_without_amounts_gets_those_that_kserve_would_fill_in() -> None:
    bare = plans.foreign(model={"modelFormat": {"name": "mlflow"}, "storageUri": "s3://m"})
    assert container(taken(bare).after)["resources"]["limits"] == {"cpu": "1", "memory": "2Gi"}


def test_volumes_of_a_model_are_still_mounted_because_knative_refuses_others() -> None:
    mounts = [{"name": "certs", "mountPath": "/etc/certs"}]
    isvc = of_model(volumeMounts=mounts)
    isvc["spec"]["predictor"]["volumes"] = [{"name": "certs", "secret": {"secretName": "c"}}]
    after = taken(isvc).after
    assert [one["name"] for one in after["spec"]["predictor"]["volumes"]] == ["certs", "laurel-tmp"]
    assert [one["name"] for one in container(after)["volumeMounts"]] == ["certs", "laurel-tmp"]


def test_a_volume_of_theirs_for_temporary_files_is_enough() -> None:
    mounts = [{"name": "big", "mountPath": TMP}]
    isvc = of_model(volumeMounts=mounts)
    isvc["spec"]["predictor"]["volumes"] = [{"name": "big", "emptyDir": {}}]
    after = taken(isvc).after
    assert container(after)["volumeMounts"] == mounts
    assert after["spec"]["predictor"]["volumes"] == [{"name": "big", "emptyDir": {}}]


def test_another_programs_container_keeps_its_place_and_loses_that_programs_words() -> None:
    after = taken(
        custom(
            command=["serve"],
            args=["--x"],
            workingDir="/app",
            livenessProbe={"httpGet": {"path": "/alive"}},
            ports=[{"containerPort": 5000}],
            env=[{"name": "THEIRS", "value": "1"}, {"name": "STORAGE_URI", "value": "s3://m"}],
            securityContext={"runAsUser": 1000},
        )
    ).after
    only = container(after)
    assert not {"command", "args", "workingDir", "livenessProbe"} & only.keys()
    assert only["ports"] == [{"containerPort": 8080, "protocol": "TCP"}]
    assert only["env"] == [
        {"name": "THEIRS", "value": "1"},
        {"name": "PROTOCOL", "value": "v2"},
    ]
    assert only["securityContext"] == {"runAsUser": 1000}


@pytest.mark.parametrize("isvc", [of_model(), custom(args=["--x"])], ids=["a model", "a container"])
def test_what_was_taken_over_can_be_given_back_to_the_byte(isvc: Json) -> None:
    given_back = undone(taken(isvc).after)
    del given_back["spec"]["predictor"]["annotations"]  # the shield stays, and does nothing
    given_back["metadata"].pop("annotations")
    assert difference(given_back, isvc) == []


def test_taking_over_twice_is_taking_over_once() -> None:
    once = taken(of_model()).after
    assert difference(taken(once).after, once) == []


def test_the_next_version_is_an_ordinary_change() -> None:
    after = taken(of_model()).after
    after["metadata"]["annotations"] |= {DIGEST: str(image().ref)}
    del after["metadata"]["annotations"][UNDO]
    assert foreign(after) is None
    assert container(changed(after, ADOPT, image(b"v2")))["image"] == str(image(b"v2").ref)


def test_the_change_is_shown_as_a_diff_of_what_a_person_wrote() -> None:
    shown = taken(of_model()).diff.splitlines()
    assert "-    model:" in shown
    assert "-      storageUri: s3://models/fraud" in shown
    assert f"+      image: {image().ref}" in shown
    assert not any(UNDO in line and "see the" not in line for line in shown)


def test_without_leave_it_is_refused_with_the_diff_and_what_to_do() -> None:
    found = adoption(of_model(), plan(), image())
    assert isinstance(found, Refused)
    assert "fraud serves the mlflow model at s3://models/fraud" in found.reason
    assert "set adopt: true for this service, or choose another name" in found.reason
    assert "-      storageUri: s3://models/fraud" in found.evidence["diff"]


def test_it_can_be_looked_at_before_there_is_an_image() -> None:
    found = preview(custom(), ADOPT)
    assert isinstance(found, Adoption)
    assert f"+      image: {REPOSITORY}@sha256:…" in found.diff.replace('"', "")


@pytest.mark.parametrize(
    ("isvc", "words"),
    [
        (of_model(), "the mlflow model at s3://models/fraud"),
        (of_model(storageUri=None, storage={"path": "fraud/1"}), "the mlflow model at fraud/1"),
        (of_model(storageUri=None), "the mlflow model at no place that it names"),
        (
            plans.foreign(model={"modelFormat": None}, storageUris=[{"uri": "s3://one"}]),
            "the unnamed model at s3://one",
        ),
        (custom(), f"the image {REPOSITORY}@{NONE}"),
        (custom(image=None), "the image that KServe chooses"),
    ],
)
def test_what_a_foreign_service_serves_is_named(isvc: Json, words: str) -> None:
    assert foreign(isvc) == words


def edited(isvc: Json, predictor: Json | None = None, **more: object) -> Json:
    found = deepcopy(isvc)
    found["spec"]["predictor"] |= predictor or {}
    found["spec"] |= more
    return found


@pytest.mark.parametrize(
    ("isvc", "words"),
    [
        (edited(custom(), transformer={"containers": [{}]}), "it has a transformer"),
        (edited(custom(), explainer={"containers": [{}]}), "give the explainer an Inference"),
        (edited(custom(), {"workerSpec": {"pipelineParallelSize": 2}}), "several nodes at once"),
        (edited(custom(), {"canaryTrafficPercent": 20}), "under way at 20 %: finish it first"),
        (edited(custom(), {"canaryTrafficPercent": 0}), "under way at 0 %"),
        (edited(custom(), {"initContainers": [{"name": "i"}]}), "initContainers prepare another"),
        (edited(custom(), {"containers": []}), "it has 0 containers"),
        (edited(custom(), {"containers": [{}, {}]}), "it has 2 containers"),
        (edited(of_model(), {"containers": [{"name": "t"}]}), "containers beside its model"),
        (of_model(runtime="our-own"), "its runtime our-own is not KServe's own"),
        (of_model(protocolVersion="v1"), "speak protocol v1, and Laurel's images speak v2"),
        (of_model(protocolVersion="grpc-v2"), "speak protocol grpc-v2"),
        (custom(image="fraud:1"), "fraud:1 is no image by digest"),
        (custom(image=None), "None is no image by digest"),
        (custom(volumeMounts=[{"mountPath": "/mnt/models"}]), "/mnt/models/ would hide"),
        (custom(volumeMounts=[{"mountPath": "/mnt/models/x/"}]), "/mnt/models/x/ would hide"),
        (custom(volumeMounts=[{"mountPath": "/mnt"}]), "/mnt/ would hide"),
        (of_model(volumeMounts=[{"mountPath": "/opt"}]), "/opt/ would hide"),
    ],
)
def test_what_laurels_container_could_not_keep_is_refused(isvc: Json, words: str) -> None:
    assert words in why_not(isvc)


def test_a_stopped_service_is_refused_with_the_command_that_starts_it() -> None:
    isvc = custom()
    isvc["metadata"]["annotations"] = {"serving.kserve.io/stop": "True"}
    assert "kubectl annotate inferenceservice fraud serving.kserve.io/stop-" in why_not(isvc)


@pytest.mark.parametrize("percent", [None, 100])
def test_a_rollout_that_is_over_is_no_obstacle(percent: int | None) -> None:
    taken(edited(custom(), {"canaryTrafficPercent": percent}))


def test_a_runtime_of_kserves_own_and_a_volume_elsewhere_are_no_obstacle() -> None:
    taken(of_model(runtime="kserve-mlserver"))
    taken(custom(volumeMounts=[{"name": "m", "mountPath": "/mnt/modelsets"}]))


def test_nothing_is_noted_on_what_is_only_looked_at() -> None:
    isvc = custom()
    preview(isvc, plan())
    assert annotations_of(isvc) == {}
