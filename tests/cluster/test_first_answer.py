"""From nothing to an answer, and the pieces that every other test here stands on."""

import pytest

from tests.cluster.conftest import Load, Model
from tests.cluster.services import IMAGE, PERCENT, Services, ready, split
from tests.cluster.stack.whole import Whole
from tests.cluster.traffic import burst

pytestmark = [pytest.mark.cluster, pytest.mark.smoke]


def test_a_service_that_is_created_answers_through_envoy(services: Services, model: Model) -> None:
    revision = services.start("fraud", model("v1"))
    seen = burst(services.target("fraud"), 100)
    assert seen.versions() == {"v1": 100}
    assert split(services.read("fraud")) == {revision: 100}


def test_half_of_the_requests_are_answered_by_a_canary_at_fifty_percent(
    services: Services, model: Model, traffic: Load
) -> None:
    services.start("fraud", model("v1"))
    with traffic(services.target("fraud")) as seen:
        services.patch(
            "fraud",
            {"op": "replace", "path": IMAGE, "value": model("v2")},
            {"op": "add", "path": PERCENT, "value": 50},
        )
        services.wait("fraud", lambda service: sorted(split(service).values()) == [50, 50])
        services.wait("fraud", ready)
        seen.until(lambda: seen.versions()["v2"])
        begin = seen.wait(200)
    answered = seen.versions(begin)
    assert 50 < answered["v2"] < 150  # one run in 10^12 is outside
    assert not seen.failed()


def test_the_same_knobs_are_the_same_digest_and_others_are_another(model: Model) -> None:
    assert model("v1", ERROR_RATE="1") == model("v1", ERROR_RATE="1")
    assert model("v1", ERROR_RATE="1") != model("v1")


def test_what_a_container_writes_is_read_through_the_api(
    cluster: Whole, services: Services, model: Model
) -> None:
    revision = services.start("fraud", model("v1"))
    (pod,) = services.pods(revision)
    name = f"pod/{pod['metadata']['name']}"
    said = cluster.plane.kubectl("logs", name, "-c", "kserve-container", "-n", services.namespace)
    assert "model fraud version v1" in said
