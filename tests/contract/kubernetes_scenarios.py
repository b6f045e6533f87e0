"""What KServe and Knative do with an InferenceService: one script for the fake and the real ones.

Each scenario plays on a fresh scene; its name is what it shows. The traps are those of
pipeline/kserve: what a patch does that nobody meant.
"""

from collections.abc import Callable

import pytest

from pipeline.errors import ConflictError, PermanentError, RejectedError
from pipeline.kserve.resources import INFERENCE_SERVICES
from tests.contract.kubernetes_stage import IMAGE, PERCENT, Json, Scene, condition, message

ALL_TRUE = (
    "Ready",
    "PredictorReady",
    "IngressReady",
    "PredictorConfigurationReady",
    "PredictorRouteReady",
    "RoutesReady",
    "LatestDeploymentReady",
)
STATUS = {
    "address",
    "components",
    "conditions",
    "deploymentMode",
    "modelStatus",
    "observedGeneration",
    "url",
}
PREDICTOR = {
    "address",
    "latestCreatedRevision",
    "latestReadyRevision",
    "latestRolledoutRevision",
    "traffic",
    "url",
}


def a_canary_takes_the_percent_that_was_patched(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    scene.change(scene.stage.image("v2"), 0)
    scene.settles("02*=0 01=100#prev", "02 02 01 -")
    assert scene.only("v1")
    for percent in (10, 50):
        scene.change(None, percent)
        scene.settles(f"02*={percent} 01={100 - percent}#prev", "02 02 01 -")
        scene.shares(v1=100 - percent, v2=percent)
    scene.change(None, None)
    scene.settles("02*=100", "02 02 02 01")
    scene.stage.until(lambda: scene.only("v2"))
    assert {scene.condition(type_) for type_ in ALL_TRUE} == {"True"}
    status = scene.read()["status"]
    assert set(status) == STATUS
    assert set(status["components"]["predictor"]) == PREDICTOR | {"previousRolledoutRevision"}
    assert {one["type"] for one in status["conditions"]} == {*ALL_TRUE, "Stopped"}
    assert status["deploymentMode"] == "Knative"
    assert status["modelStatus"] == {
        "copies": {"failedCopies": 0, "totalCopies": 1},
        "states": {"activeModelState": "Loaded", "targetModelState": "Loaded"},
        "transitionStatus": "UpToDate",
    }


def the_first_deployment_ignores_its_percent(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"), ready=False, canaryTrafficPercent=0)
    scene.settles("01*=0 01=100#prev", "01 01 01 -")
    assert scene.only("v1")


def a_percent_of_100_promotes_as_its_absence_does(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    scene.change(scene.stage.image("v2"), 0)
    scene.settles("02*=0 01=100#prev", "02 02 01 -")
    scene.change(None, 100)
    scene.settles("02*=100", "02 02 02 01")
    scene.change(scene.stage.image("v3"), 0)
    scene.settles("03*=0 02=100#prev", "03 03 02 01")


def a_percent_alone_on_a_steady_service_is_a_rollback(scene: Scene) -> None:
    scene.promoted(scene.stage.image("v1"), scene.stage.image("v2"))
    scene.change(None, 10)
    scene.settles("02*=10 01=90#prev", "02 02 01 01")
    scene.shares(v1=90, v2=10)
    scene.change(None, None)
    scene.settles("02*=100", "02 02 02 01")
    scene.change(None, 0)
    scene.settles("02*=0 01=100#prev", "02 02 01 01")
    assert scene.only("v1")
    now = scene.read()
    assert now["status"]["observedGeneration"] > now["metadata"]["generation"]


def a_new_image_with_a_percent_leaks_to_the_last_ready_revision(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    scene.change(scene.stage.image("bad", broken=True), 0)
    scene.settles("02*=0 01=100#prev", "02 02 01 -")
    scene.change(scene.stage.image("slow", ready_after=8), 20)
    scene.settles("02*=20 01=80#prev", "03 02 01 -")
    assert 0 < scene.answers()["500"] < 50
    scene.settles("03*=20 01=80#prev", "03 03 01 -")
    assert scene.answers()["500"] == 0


def a_new_image_without_a_percent_gives_everything_to_the_last_ready_revision(
    scene: Scene,
) -> None:
    scene.create(scene.stage.image("v1"))
    scene.change(scene.stage.image("bad", broken=True), 0)
    scene.settles("02*=0 01=100#prev", "02 02 01 -")
    scene.change(scene.stage.image("slow", ready_after=8), None)
    scene.settles("02*=100", "03 02 02 01")
    assert scene.only("500")
    scene.settles("03*=100", "03 03 03 02")
    scene.stage.until(lambda: scene.only("slow"))


def percent_0_alone_does_nothing_where_the_canary_has_crashed(scene: Scene) -> None:
    stable = scene.stage.image("v1")
    scene.create(stable)
    scene.change(scene.stage.image("v2"), 0)
    scene.settles("02*=0 01=100#prev", "02 02 01 -")
    scene.change(None, 30)
    scene.settles("02*=30 01=70#prev", "02 02 01 -")
    _crash_until_the_route_says_so(scene)
    scene.change(None, 0)
    scene.stays("02*=30 01=70#prev", "02 02 01 -", seconds=2)
    assert scene.condition("Ready") == "False: RevisionMissing"
    assert scene.answers(10)["v2"] == 0
    scene.change(stable, 0)
    scene.settles("03*=0 01=100#prev", "03 03 01 -")
    assert scene.only("v1")


def _crash_until_the_route_says_so(scene: Scene) -> None:
    """End the canary again and again: each time it takes longer until it is started again.

    Only a ready one: Knative looks at pods when their readiness changes, and one that was never
    ready again would crash unseen.
    """

    def seen() -> bool:
        if all(condition(pod, "Ready").startswith("True") for pod in scene.pods("02")):
            scene.stage.crash(scene.revision_name("02"))
        away = _restarts(scene) >= 2 and "waiting" in _container(scene)["state"]  # for 20 seconds
        return away and scene.condition("PredictorRouteReady") == "False: RevisionMissing"

    scene.stage.until(seen)


def a_canary_that_lives_and_is_not_ready_is_hidden_by_every_condition(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    scene.change(scene.stage.image("v2"), 0)
    scene.settles("02*=0 01=100#prev", "02 02 01 -")
    scene.stage.unready(scene.revision_name("02"))
    scene.stage.until(lambda: condition(scene.pods("02")[0], "Ready").startswith("False"))
    scene.stage.wait(3)
    revision = scene.revision("02")
    assert revision is not None
    assert condition(revision, "Ready") == "True"
    assert condition(revision, "Active") == "Unknown: Queued"
    assert {scene.condition(type_) for type_ in ALL_TRUE} == {"True"}


def stopping_a_service_forgets_what_was_promoted(scene: Scene) -> None:
    scene.promoted(scene.stage.image("v1"), scene.stage.image("v2"))
    scene.change(scene.stage.image("v3"), 0)
    scene.settles("03*=0 02=100#prev", "03 03 02 01")
    path = "/metadata/annotations/serving.kserve.io~1stop"
    scene.change(None, "same", {"op": "add", "path": path, "value": "true"})
    scene.stage.until(lambda: scene.condition("Ready") == "False: Stopped")
    assert "components" not in scene.read()["status"]
    scene.stage.until(lambda: scene.revision("02") is None)
    assert scene.only("404")
    scene.change(None, "same", {"op": "remove", "path": path})
    scene.settles("01*=0 01=100#prev", "01 01 01 -")
    assert scene.only("v3")


def a_late_revision_sends_everything_to_the_version_before_stable(scene: Scene) -> None:
    scene.promoted(scene.stage.image("v1"), scene.stage.image("v2"))
    with scene.stage.denied("revisions"):
        scene.change(scene.stage.image("v3"), 0)
        scene.settles("02*=0 01=100#prev", "02 02 01 01")
        assert scene.only("v1")
        assert scene.condition("PredictorConfigurationReady") == "False: RevisionFailed"
    scene.settles("03*=0 01=100#prev", "03 03 01 01")
    scene.remember("latest", "02")
    scene.settles("03*=0 02=100#prev", "03 03 02 01")
    assert scene.only("v2")


def a_memory_of_the_stable_revision_twice_makes_a_late_revision_harmless(scene: Scene) -> None:
    scene.promoted(scene.stage.image("v1"), scene.stage.image("v2"))
    scene.remember("previous", "02")
    scene.settles("02*=100", "02 02 02 02")
    with scene.stage.denied("revisions"):
        scene.change(scene.stage.image("v3"), 0)
        scene.settles("02*=0 02=100#prev", "02 02 02 02")
        assert scene.only("v2")
    scene.settles("03*=0 02=100#prev", "03 03 02 02")
    assert scene.only("v2")


def refused_pods_freeze_the_service_and_abort_by_percent_0_rolls_back(scene: Scene) -> None:
    stable, refused = scene.stage.image("v2"), scene.stage.image("v3")
    scene.promoted(scene.stage.image("v1"), stable)
    with scene.stage.pods_denied(refused):
        scene.change(refused, 0)
        scene.stage.until(lambda: scene.condition("PredictorReady") == "False: ReconcileFailed")
        assert "image is not signed" in message(scene.read(), "PredictorReady")
        scene.stays("02*=100", "02 02 02 01", seconds=2)
        assert scene.revision("03") is None
        assert scene.only("v2")
        scene.change(stable, 0)
        scene.settles("02*=0 01=100#prev", "02 02 01 01")
        assert scene.only("v1")


def refused_pods_are_undone_by_taking_the_percent_away(scene: Scene) -> None:
    stable, refused = scene.stage.image("v2"), scene.stage.image("v3")
    scene.promoted(scene.stage.image("v1"), stable)
    with scene.stage.pods_denied(refused):
        scene.change(refused, 0)
        scene.stage.until(lambda: scene.condition("PredictorReady") == "False: ReconcileFailed")
        scene.change(stable, None)
        scene.stage.until(lambda: scene.condition("Ready") == "True")
        scene.stays("02*=100", "02 02 02 01", seconds=2)
        assert scene.only("v2")


def a_second_image_replaces_the_canary_once_it_is_ready(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    scene.change(scene.stage.image("v2"), 0)
    scene.settles("02*=0 01=100#prev", "02 02 01 -")
    scene.change(None, 20)
    scene.settles("02*=20 01=80#prev", "02 02 01 -")
    scene.change(scene.stage.image("slow", ready_after=6))
    scene.settles("02*=20 01=80#prev", "03 02 01 -")
    scene.shares(v1=80, v2=20)
    scene.settles("03*=20 01=80#prev", "03 03 01 -")
    scene.shares(v1=80, slow=20)


def a_tag_reaches_the_canary_before_any_traffic_does(scene: Scene) -> None:
    tags = {"serving.kserve.io/enable-tag-routing": "true"}
    scene.create(scene.stage.image("v1"), ready=False, metadata_annotations=tags)
    scene.settles("01*=100#latest", "01 01 01 -")
    scene.change(scene.stage.image("v2"), 0)
    scene.settles("02*=0#latest 01=100#prev", "02 02 01 -")
    traffic = scene.read()["status"]["components"]["predictor"]["traffic"]
    assert [one["url"].partition("-")[0] for one in traffic] == ["http://latest", "http://prev"]
    assert scene.only("v1")
    scene.stage.until(lambda: scene.only("v2", tag="latest"))
    assert scene.only("v1", tag="prev")


def a_revision_that_never_gets_ready_fails_at_its_deadline(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    scene.change(scene.stage.image("never", never_ready=True), 0)
    scene.settles("01*=0 01=100#prev", "02 01 01 -")
    assert scene.condition("Ready") == "Unknown"
    scene.stage.until(lambda: scene.condition("Ready") == "False: RevisionFailed")
    revision = scene.revision("02")
    assert revision is not None
    assert condition(revision, "Ready") == "False: ProgressDeadlineExceeded"
    model = scene.read()["status"]["modelStatus"]
    assert model["transitionStatus"] == "InProgress"
    assert scene.only("v1")


def a_crash_at_start_is_seen_in_pods_long_before_any_condition_tells(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    scene.change(scene.stage.image("crash", never_ready=True, crash_after=0.3), 0)
    scene.settles("01*=0 01=100#prev", "02 01 01 -")
    scene.stage.until(lambda: _restarts(scene) >= 1)
    assert scene.condition("Ready") == "Unknown"
    scene.stage.until(lambda: scene.condition("Ready") == "False: RevisionFailed")
    assert "Container failed with" in message(scene.read(), "Ready")
    scene.stage.until(
        lambda: scene.read()["status"]["modelStatus"]["transitionStatus"] == "BlockedByFailedLoad"
    )
    revision = scene.revision("02")
    assert revision is not None
    assert condition(revision, "Ready") == "False: ExitCode3"


def _container(scene: Scene) -> Json:
    pods = scene.pods("02")
    statuses = pods[0].get("status", {}).get("containerStatuses", []) if pods else []
    return next((one for one in statuses if one["name"] == "kserve-container"), {})


def _restarts(scene: Scene) -> int:
    return int(_container(scene).get("restartCount", 0))


def an_image_that_cannot_be_pulled_is_told_at_the_deadline(scene: Scene) -> None:
    image = scene.stage.image("v1")
    scene.create(image)
    scene.change(scene.stage.missing_image(), 0)
    scene.settles("01*=0 01=100#prev", "02 01 01 -")
    scene.stage.until(lambda: _waiting(scene) in ("ErrImagePull", "ImagePullBackOff"))
    assert scene.condition("Ready") == "Unknown"
    scene.stage.until(lambda: scene.condition("Ready") == "False: RevisionFailed")
    revision = scene.revision("02")
    assert revision is not None
    assert condition(revision, "Ready") in (
        "False: ImagePullBackOff",
        "False: ErrImagePull",
    )
    assert "not found" in message(scene.read(), "Ready")
    assert scene.only("v1")


def pods_that_no_node_has_room_for_are_told_at_once(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    resources = "/spec/predictor/containers/0/resources"
    more = {"requests": {"cpu": "1000"}, "limits": {"cpu": "1000"}}
    grow: Json = {"op": "replace", "path": resources, "value": more}
    scene.change(scene.stage.image("v2"), 0, grow)
    scene.settles("01*=0 01=100#prev", "02 01 01 -")
    scene.stage.until(lambda: scene.condition("Ready") == "False: RevisionFailed")
    revision = scene.revision("02")
    assert revision is not None
    assert condition(revision, "ResourcesAvailable") == "False: Unschedulable"
    assert "Insufficient cpu" in message(revision, "ResourcesAvailable")
    assert condition(scene.pods("02")[0], "PodScheduled") == "False: Unschedulable"
    assert scene.only("v1")


def a_quota_freezes_the_service_as_refused_pods_do(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    with scene.stage.full():
        scene.change(scene.stage.image("v2"), 0)
        scene.stage.until(lambda: scene.condition("PredictorReady") == "False: ReconcileFailed")
        assert "exceeded quota" in message(scene.read(), "PredictorReady")
        scene.stays("01*=100", "01 01 01 -", seconds=2)
        assert scene.only("v1")
    scene.settles("02*=0 01=100#prev", "02 02 01 -")


def a_full_quota_refuses_every_change_even_of_a_percent(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    scene.change(scene.stage.image("v2"), 0)
    scene.settles("02*=0 01=100#prev", "02 02 01 -")
    scene.change(None, 10)
    scene.settles("02*=10 01=90#prev", "02 02 01 -")
    with scene.stage.full():
        scene.change(None, 0)
        scene.stage.until(lambda: scene.condition("PredictorReady") == "False: ReconcileFailed")
        assert "exceeded quota" in message(scene.read(), "PredictorReady")
        scene.stays("02*=10 01=90#prev", "02 02 01 -", seconds=2)
        scene.shares(v1=90, v2=10)
    scene.settles("02*=0 01=100#prev", "02 02 01 -")


def without_a_least_number_idle_pods_go_and_come_back_for_a_request(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"), minReplicas=0)
    scene.stage.until(lambda: not scene.pods("01"))
    revision = scene.revision("01")
    assert revision is not None
    assert condition(revision, "Ready") == "True"
    assert condition(revision, "Active") == "False: NoTraffic"
    assert scene.condition("Ready") == "True"
    assert scene.answers(1) == {"v1": 1}
    assert scene.pods("01")


def another_least_number_of_pods_is_another_revision(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    least: Json = {"op": "replace", "path": "/spec/predictor/minReplicas", "value": 2}
    scene.change(None, "same", least)
    scene.settles("02*=100", "02 02 02 01")
    scene.stage.until(lambda: len(scene.pods("02")) == 2)


def _waiting(scene: Scene) -> str:
    pods = scene.pods("02")
    statuses = pods[0].get("status", {}).get("containerStatuses", []) if pods else []
    models = [one for one in statuses if one["name"] == "kserve-container"]
    return str(models[0]["state"].get("waiting", {}).get("reason")) if models else ""


def what_knative_refuses_freezes_the_service_until_it_is_mended(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    refused: dict[str, Json] = {
        "Traffic targets sum to 101": {"op": "add", "path": PERCENT, "value": 101},
        '"PORT" is a reserved environment variable': {
            "op": "add",
            "path": "/spec/predictor/containers/0/env/-",
            "value": {"name": "PORT", "value": "1"},
        },
        "9090 is a reserved port": {
            "op": "replace",
            "path": "/spec/predictor/containers/0/ports/0/containerPort",
            "value": 9090,
        },
        "must not set the field(s): spec.template.spec.nodeSelector": {
            "op": "add",
            "path": "/spec/predictor/nodeSelector",
            "value": {"a": "b"},
        },
    }
    before = scene.read()["spec"]
    for words, operation in refused.items():
        scene.change(None, "same", operation)
        scene.stage.until(lambda: scene.condition("PredictorReady") == "False: ReconcileFailed")
        scene.stage.until(_says(scene, words))
        scene.change(None, "same", {"op": "replace", "path": "/spec", "value": before})
        scene.stage.until(lambda: scene.condition("Ready") == "True")
    scene.stays("01*=100", "01 01 01 -", seconds=1)


def _says(scene: Scene, words: str) -> Callable[[], bool]:
    return lambda: words in message(scene.read(), "PredictorReady")


def guards_change_all_or_nothing(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    before = scene.read()
    held = {"op": "test", "path": PERCENT, "value": None}
    broken = {"op": "test", "path": IMAGE, "value": "somebody/elses:image"}
    for refused in (
        [{"op": "add", "path": PERCENT, "value": 0}, broken],
        [{"op": "remove", "path": PERCENT}],
        [{"op": "test", "path": PERCENT, "value": 1}],
        [{"op": "replace", "path": "/metadata/resourceVersion", "value": "1"}],
    ):
        with pytest.raises(ConflictError):
            scene.change(None, "same", *refused)
    with pytest.raises(PermanentError, match=r"must be of type integer|cannot unmarshal"):
        scene.change(None, "same", {"op": "add", "path": PERCENT, "value": "ten"})
    with pytest.raises(RejectedError, match=r"12\.5"):
        scene.change(None, "same", {"op": "add", "path": PERCENT, "value": 12.5})
    unknown = {"op": "add", "path": "/spec/predictor/canaryPercent", "value": 1}
    assert scene.change(None, "same", unknown)["spec"] == before["spec"]
    renamed = {"op": "replace", "path": "/spec/predictor/containers/0/name", "value": "mine"}
    assert scene.change(None, "same", renamed)["spec"] == before["spec"]
    patched = scene.stage.cluster.patch(
        INFERENCE_SERVICES,
        scene.name,
        [held, {"op": "add", "path": PERCENT, "value": 0}],
        dry_run=True,
    )
    assert patched["spec"]["predictor"]["canaryTrafficPercent"] == 0
    assert scene.read()["spec"] == before["spec"]
    assert scene.read()["metadata"]["generation"] == 1


def a_refused_change_of_the_service_changes_nothing(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    with scene.stage.denied("inferenceservices"):
        with pytest.raises(RejectedError, match="image is not signed"):
            scene.change(scene.stage.image("v2"), 0)
        scene.stays("01*=100", "01 01 01 -", seconds=1)


def what_is_not_to_be_updated_ignores_every_change_while_it_is_ready(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    alone = "/metadata/annotations/serving.kserve.io~1disable-auto-update"
    scene.change(None, "same", {"op": "add", "path": alone, "value": "true"})
    scene.change(scene.stage.image("v2"), 0)
    scene.stays("01*=100", "01 01 01 -", seconds=3)
    scene.change(None, "same", {"op": "remove", "path": alone})
    scene.settles("02*=0 01=100#prev", "02 02 01 -")


def a_changed_annotation_is_a_new_revision_unless_the_predictor_says_the_same(
    scene: Scene,
) -> None:
    scene.create(scene.stage.image("v1"), annotations={"laurel.dev/shielded": "no"})
    shielded = "/metadata/annotations/laurel.dev~1shielded"
    scene.change(None, "same", {"op": "add", "path": shielded, "value": "a"})
    scene.stays("01*=100", "01 01 01 -", seconds=2)
    bare = "/metadata/annotations/laurel.dev~1bare"
    scene.change(None, "same", {"op": "add", "path": bare, "value": "a"})
    scene.settles("02*=100", "02 02 02 01")


def what_is_promoted_away_has_no_pods_after_a_minute_and_gets_them_back(scene: Scene) -> None:
    scene.promoted(scene.stage.image("v1"), scene.stage.image("v2"))
    scene.stage.until(lambda: not scene.pods("01"))
    revision = scene.revision("01")
    assert revision is not None
    assert revision["metadata"]["labels"]["serving.knative.dev/routingState"] == "reserve"
    scene.change(None, 0)
    scene.settles("02*=0 01=100#prev", "02 02 01 01")
    scene.stage.until(lambda: scene.only("v1"))
    assert scene.pods("01")


def a_deleted_service_is_gone_with_all_that_was_made_of_it(scene: Scene) -> None:
    scene.create(scene.stage.image("v1"))
    scene.stage.cluster.delete(INFERENCE_SERVICES, scene.name)
    scene.stage.until(lambda: scene.stage.cluster.get(INFERENCE_SERVICES, scene.name) is None)
    scene.stage.until(lambda: scene.revision("01") is None)
    scene.stage.until(lambda: not scene.pods("01"))


SCENARIOS = [
    a_canary_takes_the_percent_that_was_patched,
    the_first_deployment_ignores_its_percent,
    a_percent_of_100_promotes_as_its_absence_does,
    a_percent_alone_on_a_steady_service_is_a_rollback,
    a_new_image_with_a_percent_leaks_to_the_last_ready_revision,
    a_new_image_without_a_percent_gives_everything_to_the_last_ready_revision,
    percent_0_alone_does_nothing_where_the_canary_has_crashed,
    a_canary_that_lives_and_is_not_ready_is_hidden_by_every_condition,
    stopping_a_service_forgets_what_was_promoted,
    a_late_revision_sends_everything_to_the_version_before_stable,
    a_memory_of_the_stable_revision_twice_makes_a_late_revision_harmless,
    refused_pods_freeze_the_service_and_abort_by_percent_0_rolls_back,
    refused_pods_are_undone_by_taking_the_percent_away,
    a_second_image_replaces_the_canary_once_it_is_ready,
    a_tag_reaches_the_canary_before_any_traffic_does,
    a_revision_that_never_gets_ready_fails_at_its_deadline,
    a_crash_at_start_is_seen_in_pods_long_before_any_condition_tells,
    an_image_that_cannot_be_pulled_is_told_at_the_deadline,
    pods_that_no_node_has_room_for_are_told_at_once,
    a_quota_freezes_the_service_as_refused_pods_do,
    a_full_quota_refuses_every_change_even_of_a_percent,
    without_a_least_number_idle_pods_go_and_come_back_for_a_request,
    another_least_number_of_pods_is_another_revision,
    what_knative_refuses_freezes_the_service_until_it_is_mended,
    guards_change_all_or_nothing,
    a_refused_change_of_the_service_changes_nothing,
    what_is_not_to_be_updated_ignores_every_change_while_it_is_ready,
    a_changed_annotation_is_a_new_revision_unless_the_predictor_says_the_same,
    what_is_promoted_away_has_no_pods_after_a_minute_and_gets_them_back,
    a_deleted_service_is_gone_with_all_that_was_made_of_it,
]
