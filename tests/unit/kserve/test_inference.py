"""An InferenceService as a value, read from what a real cluster said."""

from typing import Any

import pytest

from pipeline.kserve.inference import InferenceService
from pipeline.kserve.observed import Condition
from tests.unit.kserve.recorded import Json, recorded, service


def test_a_service_at_rest_is_settled_and_serves_alone() -> None:
    now = service("c1-v1-ready")
    assert now.settled
    assert now.routed
    assert now.percent is None
    assert now.serves_alone("fraud-predictor-00001")
    assert now.mode == "Knative"
    assert now.url == "http://fraud-predictor.default.laurel.test"
    assert (now.min_replicas, now.need) == (1, 1)


def test_a_split_is_the_one_that_the_gateway_has() -> None:
    now = service("c4-canary-10")
    assert now.shares() == {"fraud-predictor-00002": 10, "fraud-predictor-00001": 90}
    assert now.splits("fraud-predictor-00001", "fraud-predictor-00002", 10)
    assert not now.splits("fraud-predictor-00001", "fraud-predictor-00002", 50)
    assert not now.serves_alone("fraud-predictor-00002")
    assert not now.settled


def test_a_split_that_the_gateway_refuses_is_none() -> None:
    """Trap 4: the percents stand in the status, and the route is not ready."""
    now = service("trap4-crash-1-unready-at-30")
    assert not now.routed
    assert not now.splits("trapfourc-predictor-00001", "trapfourc-predictor-00002", 30)


def test_a_revision_is_reached_by_its_tag_or_as_the_only_one() -> None:
    tagged = service("tag-routing-at-0")
    assert tagged.address("tagged-predictor-00002") == (
        "http://latest-tagged-predictor.default.laurel.test"
    )
    assert tagged.address("tagged-predictor-00001").startswith("http://prev-tagged")
    assert tagged.address("tagged-predictor-00009") == ""
    alone = service("c1-v1-ready")
    assert alone.address("fraud-predictor-00001") == alone.url
    assert service("c4-canary-10").address("fraud-predictor-00002") == ""


def test_what_laurel_wrote_is_read_back() -> None:
    raw = recorded("c4-canary-10")["isvc"]
    raw["metadata"]["annotations"] = {
        "laurel.dev/sequence": "7",
        "laurel.dev/digest": "r@sha256:a",
        "laurel.dev/model": "fraud/1",
        "laurel.dev/canary": "r@sha256:b",
        "laurel.dev/canary-model": "fraud/2",
        "laurel.dev/percent": "10",
        "laurel.dev/hold": "{}",
        "laurel.dev/undo": "{}",
    }
    now = InferenceService.parse(raw)
    assert (now.sequence, now.digest, now.model) == (7, "r@sha256:a", "fraud/1")
    assert (now.canary, now.canary_model, now.given) == ("r@sha256:b", "fraud/2", 10)
    assert (now.hold, now.undoable, now.ours, now.clean, now.first) == (
        "{}",
        True,
        True,
        False,
        False,
    )


def test_what_others_wrote_there_is_no_number_of_ours() -> None:
    raw = recorded("c1-v1-ready")["isvc"]
    raw["metadata"]["annotations"] = {"laurel.dev/sequence": "-7", "laurel.dev/percent": "²"}
    now = InferenceService.parse(raw)
    assert (now.sequence, now.given) == (0, None)


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"metadata": None, "spec": {"predictor": {}}, "status": None},
        {"spec": {"predictor": {"containers": []}}, "status": {"components": {"predictor": []}}},
        {"status": {"conditions": "none", "components": {"predictor": {"traffic": [1]}}}},
    ],
)
def test_whatever_has_another_shape_reads_as_absent(raw: dict[str, Any]) -> None:
    now = InferenceService.parse(raw)
    assert (now.image, now.created, now.traffic, now.conditions) == ("", "", (), {})
    assert now.condition("Ready") == Condition()
    assert not now.condition("Ready").true
    assert not now.condition("Ready").false


def test_the_last_writer_of_a_field_is_named() -> None:
    raw = recorded("c1-v1-ready")["isvc"]
    spec: Json = {"f:spec": {"f:predictor": {"f:canaryTrafficPercent": {}}}}
    raw["metadata"]["managedFields"] = [
        {"manager": "laurel", "time": "2026-11-21T10:00:00Z", "fieldsV1": spec},
        {"manager": "kubectl-edit", "time": "2026-11-21T11:00:00Z", "fieldsV1": spec},
        {"manager": "other", "time": "2026-11-21T12:00:00Z", "fieldsV1": {"f:spec": {}}},
    ]
    now = InferenceService.parse(raw)
    assert now.writer("spec", "predictor", "canaryTrafficPercent") == (
        "kubectl-edit, 2026-11-21T11:00:00Z"
    )
    assert now.writer("spec", "predictor", "containers") == ""


def test_a_condition_says_as_much_as_it_has() -> None:
    assert Condition("False", "ContainerCreating").said == "ContainerCreating"
    assert Condition("False", "Failed", "no memory").said == "Failed: no memory"
    assert Condition().said == ""
