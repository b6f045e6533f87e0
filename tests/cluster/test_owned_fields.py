"""What Laurel writes on an InferenceService, as a real KServe and Knative take it."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.plan import EnvVar, Plan
from pipeline.domain.pods import PodPlan, Probe
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.kserve.adoption import Adoption, adoption
from pipeline.kserve.annotations import HOLD, SEQUENCE
from pipeline.kserve.cluster import Cluster, connect
from pipeline.kserve.json_patch import Json, difference
from pipeline.kserve.preflight import advice, objection
from pipeline.kserve.resources import INFERENCE_SERVICES, REVISIONS
from pipeline.kserve.spec import changed, created, undone
from tests.cluster.conftest import Model
from tests.cluster.services import Services, condition, ready

pytestmark = pytest.mark.cluster

NONE = Digest.of(b"")
SMALL = {"requests": {"cpu": "0.02", "memory": "16Mi"}, "limits": {"cpu": "0.5", "memory": "64Mi"}}
PERCENT = "canaryTrafficPercent"


@pytest.fixture
def cluster_of_laurel(kubeconfig: Path, namespace: str) -> Cluster:
    return connect(kubeconfig=kubeconfig, context=None, namespace=namespace)


def verified(image: str) -> VerifiedImage:
    model = ModelVersion("fraud", 1)
    ref = ImageRef.parse(image)
    return VerifiedImage(ref, model, "mlserver", "fraud", "k", NONE, NONE, NONE, ())


def plan(*env: EnvVar, **pods: Any) -> Plan:  # noqa: ANN401 - the fields of PodPlan
    small = {"timeout": 10, "probe": Probe(1), **SMALL, **pods}
    return Plan("fraud", "fraud", repository="model", env=env, pods=PodPlan(**small))


def patched(cluster: Cluster, before: Json, after: Json, percent: int | None = None) -> None:
    after = deepcopy(after)
    if percent is not None:
        after["spec"]["predictor"][PERCENT] = percent
    cluster.patch(INFERENCE_SERVICES, "fraud", difference(before, after))


def templates(cluster: Cluster) -> dict[str, Json]:
    """Read what each revision runs, by its number."""
    label = "serving.kserve.io/inferenceservice=fraud"
    found = cluster.list(REVISIONS, labels=label)
    return {one["metadata"]["name"][-1]: one["spec"] for one in found}


def until_created(services: Services, number: int) -> Json:
    def there(service: Json) -> bool:
        seen = service.get("status", {}).get("components", {}).get("predictor", {})
        created_last = seen.get("latestCreatedRevision", "")
        return created_last.endswith(f"-0000{number}") and ready(service)

    services.wait("fraud", there)
    found: Json = services.read("fraud")
    return found


def test_all_settings_of_a_service_are_taken_and_stand_in_its_pods(
    cluster_of_laurel: Cluster, services: Services, model: Model
) -> None:
    service = plan(
        EnvVar("REGION", "$(HOME)"),
        EnvVar("EMPTY", ""),
        progress_deadline=60,
        min_replicas=1,
        max_replicas=2,
        keep_warm=600,
        service_account="default",
    )
    manifest = created(service, verified(model("v1")), cluster_of_laurel.namespace)
    cluster_of_laurel.create(INFERENCE_SERVICES, manifest)
    before = until_created(services, 1)
    (pod,) = services.pods("fraud-predictor-00001")
    only = next(one for one in pod["spec"]["containers"] if one["name"] == "kserve-container")
    said = {one["name"]: one.get("value") for one in only["env"]}
    assert said["REGION"] == "$$(HOME)"  # which the kubelet writes as $(HOME)
    assert said["EMPTY"] is None
    assert only["resources"]["limits"] == {"cpu": "500m", "memory": "64Mi"}
    assert only["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["spec"]["automountServiceAccountToken"] is False
    revision = cluster_of_laurel.get(REVISIONS, "fraud-predictor-00001") or {}
    assert revision["metadata"]["annotations"]["autoscaling.knative.dev/window"] == "600s"
    assert difference(before, changed(before, service, verified(model("v1")))) == []


def test_laurels_notes_make_no_revision_and_an_abort_brings_stables_settings_back(
    cluster_of_laurel: Cluster, services: Services, model: Model
) -> None:
    first, other = plan(EnvVar("A", "1"), timeout=11), plan(EnvVar("B", "2"), timeout=12)
    manifest = created(first, verified(model("v1")), cluster_of_laurel.namespace)
    cluster_of_laurel.create(INFERENCE_SERVICES, manifest)
    before = until_created(services, 1)
    noted = deepcopy(before)
    noted["metadata"]["annotations"] |= {SEQUENCE: "7", HOLD: "{}"}
    patched(cluster_of_laurel, before, noted)
    after = changed(noted, other, verified(model("v2")))
    patched(cluster_of_laurel, noted, after, percent=0)
    canary = until_created(services, 2)  # and not 3
    patched(cluster_of_laurel, canary, undone(canary), percent=0)
    until_created(services, 3)
    runs = templates(cluster_of_laurel)
    assert runs["3"] == runs["1"]
    assert runs["2"] != runs["1"]


def test_a_custom_container_of_somebody_elses_becomes_laurels_and_can_be_given_back(
    cluster_of_laurel: Cluster, services: Services, model: Model
) -> None:
    theirs: Json = {
        "image": model("v1"),
        "env": [{"name": "THEIRS", "value": "1"}],
        "resources": SMALL,
        "readinessProbe": {"httpGet": {"path": "/v2/health/live"}, "periodSeconds": 1},
    }
    services.create("fraud", theirs["image"], containers=[theirs])
    before = until_created(services, 1)
    assert "set adopt: true" in (objection(cluster_of_laurel, plan()) or "")
    leave = plan(adopt=True)
    assert objection(cluster_of_laurel, leave) is None
    found = adoption(before, leave, verified(model("v2")))
    assert isinstance(found, Adoption)
    patched(cluster_of_laurel, before, found.after, percent=0)
    canary = until_created(services, 2)
    patched(cluster_of_laurel, canary, undone(canary), percent=0)
    until_created(services, 3)
    runs = templates(cluster_of_laurel)
    assert runs["3"] == runs["1"]
    (only,) = runs["2"]["containers"]
    assert only["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert {"name": "THEIRS", "value": "1"} in only["env"]


def frozen(words: str) -> Callable[[Json], bool]:
    def seen(service: Json) -> bool:
        found = condition(service, "PredictorReady")
        return found.get("reason") == "ReconcileFailed" and words in found.get("message", "")

    return seen


@pytest.mark.parametrize(
    ("pods", "words", "fix"),
    [
        ({"node_selector": {"disk": "fast"}}, "nodeSelector", "podspec-nodeselector"),
        ({"timeout": 700}, "timeoutSeconds", "serving.max_timeout"),
    ],
    ids=["a node selector", "a long timeout"],
)
def test_what_knative_does_not_take_has_its_fix(
    cluster_of_laurel: Cluster,
    services: Services,
    model: Model,
    pods: dict[str, Any],
    words: str,
    fix: str,
) -> None:
    manifest = created(plan(**pods), verified(model("v1")), cluster_of_laurel.namespace)
    cluster_of_laurel.create(INFERENCE_SERVICES, manifest)
    services.wait("fraud", frozen(words))
    message = condition(services.read("fraud"), "PredictorReady")["message"]
    assert fix in advice(message)
