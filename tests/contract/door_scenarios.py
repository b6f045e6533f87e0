"""What the door to Kubernetes promises, asked of any API server that knows KServe's objects."""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipeline.errors import ConflictError, NotFoundError, PermanentError
from pipeline.kserve.cluster import Cluster
from pipeline.kserve.resources import EVENTS, INFERENCE_SERVICES, PODS, REVISIONS, Resource

Json = dict[str, Any]
PERCENT = "/spec/predictor/canaryTrafficPercent"
_UNKNOWN = Resource("serving.kserve.io", "v1beta1", "inferenceservers")


def service(name: str) -> Json:
    container = {"name": "kserve-container", "image": f"registry.example.com/m@sha256:{'1' * 64}"}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {"name": name, "labels": {"team": name}},
        "spec": {"predictor": {"minReplicas": 1, "containers": [container]}},
    }


def percent(value: int, *guards: Json) -> list[Json]:
    return [*guards, {"op": "add", "path": PERCENT, "value": value}]


def what_is_created_can_be_read_and_listed(cluster: Cluster) -> None:
    made = cluster.create(INFERENCE_SERVICES, service("fraud"))
    cluster.create(INFERENCE_SERVICES, service("churn"))
    found = cluster.get(INFERENCE_SERVICES, "fraud")
    assert found is not None
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    assert found["spec"]["predictor"]["minReplicas"] == 1
    for chosen in ({"labels": "team=fraud"}, {"fields": "metadata.name=fraud"}):
        assert [one["metadata"]["name"] for one in cluster.list(INFERENCE_SERVICES, **chosen)] == [
            "fraud"
        ]
    assert len(cluster.list(INFERENCE_SERVICES, labels="team")) == 2
    assert cluster.list(INFERENCE_SERVICES, labels="team!=fraud,team!=churn") == []


def what_is_not_there_is_none_and_can_be_deleted(cluster: Cluster) -> None:
    assert cluster.get(INFERENCE_SERVICES, "nobody") is None
    cluster.delete(INFERENCE_SERVICES, "nobody")
    cluster.create(INFERENCE_SERVICES, service("fraud"))
    cluster.delete(INFERENCE_SERVICES, "fraud")
    cluster.delete(INFERENCE_SERVICES, "fraud")
    with pytest.raises(NotFoundError, match="nobody"):
        cluster.patch(INFERENCE_SERVICES, "nobody", percent(0))


def a_second_one_of_a_name_is_a_conflict(cluster: Cluster) -> None:
    cluster.create(INFERENCE_SERVICES, service("fraud"))
    with pytest.raises(ConflictError, match="already exists"):
        cluster.create(INFERENCE_SERVICES, service("fraud"))


def an_object_that_its_schema_refuses_is_no_conflict(cluster: Cluster) -> None:
    cluster.create(INFERENCE_SERVICES, service("fraud"))
    with pytest.raises(PermanentError, match="integer") as refused:
        cluster.patch(INFERENCE_SERVICES, "fraud", [{"op": "add", "path": PERCENT, "value": "ten"}])
    assert type(refused.value) is PermanentError


def a_patch_is_all_or_nothing(cluster: Cluster) -> None:
    before = cluster.create(INFERENCE_SERVICES, service("fraud"))
    absent = {"op": "test", "path": PERCENT, "value": None}
    assert (
        cluster.patch(INFERENCE_SERVICES, "fraud", percent(0, absent))["spec"]["predictor"][
            "canaryTrafficPercent"
        ]
        == 0
    )
    for broken in (absent, {"op": "test", "path": "/spec/nothing", "value": 1}):
        with pytest.raises(ConflictError):
            cluster.patch(INFERENCE_SERVICES, "fraud", percent(50, broken))
    for changed in (
        {"op": "remove", "path": "/metadata/annotations"},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "1"},
    ):
        with pytest.raises(ConflictError):
            cluster.patch(INFERENCE_SERVICES, "fraud", [changed, *percent(50)])
    after = cluster.get(INFERENCE_SERVICES, "fraud")
    assert after is not None
    assert after["spec"]["predictor"]["canaryTrafficPercent"] == 0
    assert after["metadata"]["generation"] == before["metadata"]["generation"] + 1


def a_dry_run_changes_nothing(cluster: Cluster) -> None:
    before = cluster.create(INFERENCE_SERVICES, service("fraud"))
    tried = cluster.patch(INFERENCE_SERVICES, "fraud", percent(10), dry_run=True)
    assert tried["spec"]["predictor"]["canaryTrafficPercent"] == 10
    after = cluster.get(INFERENCE_SERVICES, "fraud")
    assert after is not None
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def the_status_is_written_apart(cluster: Cluster) -> None:
    cluster.create(INFERENCE_SERVICES, {**service("fraud"), "status": {"url": "http://lie"}})
    status = {"op": "add", "path": "/status", "value": {"url": "http://true"}}
    elsewhere = cluster.patch(INFERENCE_SERVICES, "fraud", [status, *percent(10)])
    assert "status" not in elsewhere or elsewhere["status"].get("url") is None
    written = cluster.patch(
        INFERENCE_SERVICES, "fraud", [status, *percent(20)], subresource="status"
    )
    assert written["status"]["url"] == "http://true"
    assert written["spec"]["predictor"]["canaryTrafficPercent"] == 10


def a_watch_begins_with_what_is_there_and_ends_by_itself(cluster: Cluster) -> None:
    assert list(cluster.watch(INFERENCE_SERVICES, "fraud", seconds=0.2)) == [None]
    cluster.create(INFERENCE_SERVICES, service("fraud"))
    (only,) = cluster.watch(INFERENCE_SERVICES, "fraud", seconds=0.2)
    assert only is not None
    assert only["metadata"]["name"] == "fraud"


def a_watch_tells_of_changes_of_this_object_and_of_its_end(cluster: Cluster) -> None:
    events = cluster.watch(INFERENCE_SERVICES, "fraud", seconds=60)
    assert next(events) is None
    seen: list[str] = []
    acts: Iterator[Callable[[], object]] = iter(
        [
            lambda: cluster.patch(INFERENCE_SERVICES, "fraud", percent(10)),
            lambda: cluster.delete(INFERENCE_SERVICES, "fraud"),
        ]
    )
    threading.Timer(0.1, lambda: _two(cluster)).start()
    for now in events:
        seen.append("" if now is None else _percent(now))
        if now is None:
            break
        next(acts)()
    assert seen == ["none", "10", ""]


def _two(cluster: Cluster) -> None:
    cluster.create(INFERENCE_SERVICES, service("churn"))  # another object: nothing is told of it
    cluster.create(INFERENCE_SERVICES, service("fraud"))


def _percent(found: Json) -> str:
    return str(found["spec"]["predictor"].get("canaryTrafficPercent", "none"))


def kinds_that_are_served_are_known_by_their_names(cluster: Cluster) -> None:
    for kind in (INFERENCE_SERVICES, REVISIONS, PODS, EVENTS):
        assert cluster.serves(kind)
    assert not cluster.serves(_UNKNOWN)
    assert not cluster.serves(Resource("serving.example.com", "v1", "models"))
    for read in (lambda: cluster.get(_UNKNOWN, "fraud"), lambda: cluster.list(_UNKNOWN)):
        with pytest.raises(NotFoundError):
            read()


def the_namespace_is_there(cluster: Cluster) -> None:
    assert cluster.exists()


def rights_can_be_asked_for(cluster: Cluster) -> None:
    assert cluster.may("patch", INFERENCE_SERVICES, subresource="status")
    assert cluster.may("get", INFERENCE_SERVICES, name="fraud")


def logs_of_a_pod_that_is_not_there_are_empty(cluster: Cluster) -> None:
    assert cluster.logs("nobody", "kserve-container", lines=10) == ""


def calls_are_counted_by_verb_and_kind(cluster: Cluster) -> None:
    cluster.create(INFERENCE_SERVICES, service("fraud"))
    cluster.get(INFERENCE_SERVICES, "fraud")
    cluster.patch(INFERENCE_SERVICES, "fraud", percent(10))
    status = [{"op": "add", "path": "/status", "value": {}}]
    cluster.patch(INFERENCE_SERVICES, "fraud", status, subresource="status")
    cluster.list(PODS)
    assert dict(cluster.calls) == {
        ("create", "inferenceservices"): 1,
        ("get", "inferenceservices"): 1,
        ("patch", "inferenceservices"): 1,
        ("patch", "inferenceservices/status"): 1,
        ("list", "pods"): 1,
    }
    json.dumps({" ".join(key): count for key, count in cluster.calls.items()})


SCENARIOS = [
    what_is_created_can_be_read_and_listed,
    what_is_not_there_is_none_and_can_be_deleted,
    a_second_one_of_a_name_is_a_conflict,
    an_object_that_its_schema_refuses_is_no_conflict,
    a_patch_is_all_or_nothing,
    a_dry_run_changes_nothing,
    the_status_is_written_apart,
    a_watch_begins_with_what_is_there_and_ends_by_itself,
    a_watch_tells_of_changes_of_this_object_and_of_its_end,
    kinds_that_are_served_are_known_by_their_names,
    the_namespace_is_there,
    rights_can_be_asked_for,
    logs_of_a_pod_that_is_not_there_are_empty,
    calls_are_counted_by_verb_and_kind,
]
