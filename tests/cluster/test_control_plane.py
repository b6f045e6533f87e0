"""Tier A: what the API server alone decides about an InferenceService, without root."""

from collections.abc import Iterator

import pytest

from tests.cluster.obstacles import denied
from tests.cluster.services import IMAGE, PERCENT, inference_service
from tests.cluster.stack.api import Api, Object
from tests.cluster.stack.control_plane import ControlPlane

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.smoke,
    pytest.mark.xdist_group("control_plane"),
]
NAMESPACE = "ml"
LISTED = f"/apis/serving.kserve.io/v1beta1/namespaces/{NAMESPACE}/inferenceservices"
FRAUD = f"{LISTED}/fraud"
V1, V2 = (f"registry/model@sha256:{digit * 64}" for digit in "12")
REPLACE: Object = {"op": "replace", "path": IMAGE, "value": V2}


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Api:
    api = control_plane.api()
    api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    return api


@pytest.fixture
def service(plane: Api) -> Iterator[Object]:
    yield plane.create(LISTED, inference_service("fraud", V1))
    plane.delete(FRAUD)


def test_a_patch_whose_guard_fails_is_422_and_changes_nothing(plane: Api, service: Object) -> None:
    status, said = plane.patch(FRAUD, [{"op": "test", "path": IMAGE, "value": V2}, REPLACE])
    assert (status, said["reason"]) == (422, "Invalid")
    assert plane.get(FRAUD) == service


def test_the_answer_to_a_failed_guard_does_not_name_the_guard(plane: Api, service: Object) -> None:
    assert service["metadata"]["name"] == "fraud"
    guard = {"op": "test", "path": PERCENT, "value": 10}
    _, said = plane.patch(FRAUD, [guard, REPLACE])
    assert "canaryTrafficPercent" not in str(said)


def test_a_guard_for_absence_passes_where_nothing_is(plane: Api, service: Object) -> None:
    assert service["metadata"]["name"] == "fraud"
    status, said = plane.patch(FRAUD, [{"op": "test", "path": PERCENT, "value": None}, REPLACE])
    assert status == 200
    assert said["spec"]["predictor"]["containers"][0]["image"] == V2


def test_a_version_that_is_no_longer_the_newest_is_a_conflict(plane: Api, service: Object) -> None:
    plane.merge(FRAUD, {"metadata": {"labels": {"team": "risk"}}})
    seen = service["metadata"]["resourceVersion"]
    stale = {"op": "replace", "path": "/metadata/resourceVersion", "value": seen}
    status, said = plane.patch(FRAUD, [stale, REPLACE])
    assert (status, said["reason"]) == (409, "Conflict")


def test_a_percent_that_is_no_number_is_refused_by_the_schema(plane: Api, service: Object) -> None:
    assert service["metadata"]["name"] == "fraud"
    status, said = plane.patch(FRAUD, [{"op": "add", "path": PERCENT, "value": "ten"}])
    assert status == 422
    assert "canaryTrafficPercent" in said["message"]


def test_a_policy_that_says_no_is_quoted_while_it_stands_and_forgotten_after(
    plane: Api, service: Object
) -> None:
    kind = ("serving.kserve.io", "v1beta1", "inferenceservices")
    unless = "!object.spec.predictor.containers.exists(c, c.image.endsWith('2'))"
    with denied(
        plane,
        "signed",
        kind,
        "image is not signed",
        namespace=NAMESPACE,
        unless=unless,
        operations=("UPDATE",),
    ):
        status, said = plane.patch(FRAUD, [REPLACE])
        assert status == 422
        assert "denied request: image is not signed" in said["message"]
        assert plane.get(FRAUD) == service
    assert plane.patch(FRAUD, [REPLACE])[0] == 200
