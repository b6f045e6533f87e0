"""A cluster without room for one more pod: stable serves on, and the service is left clean."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.domain.serving import Readiness
from pipeline.errors import RejectedError, UnavailableError
from pipeline.kserve import restoring
from pipeline.kserve.annotations import AGAIN
from pipeline.kserve.service import Service
from tests.fakes.kserve_controllers import Behaviour
from tests.fakes.kserve_scene import PLAN, SERVICE, Scene, image, kserve_scene
from tests.fakes.kubernetes_status import POD
from tests.fakes.local_machine import eventually

IMAGE = "/spec/predictor/containers/0/image"


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(restoring, "RESTORED_WITHIN", 10.0)
    monkeypatch.setattr(restoring, "BRAKED_AFTER", 1.0)
    monkeypatch.setattr(restoring, "SURE_AFTER", 1.0)
    monkeypatch.setattr(restoring, "_LOOK_AGAIN", 0.5)
    with kserve_scene(tmp_path, monkeypatch) as scene:
        yield scene


def test_a_canary_that_no_quota_lets_start_is_taken_back_although_no_other_pod_may_start(
    scene: Scene,
) -> None:
    scene.history("v1", "v2")
    with scene.fake.full():
        with pytest.raises(RejectedError, match="exceeded quota: limit"):
            scene.target.deploy(PLAN, scene.image("v3"), 3)
        scene.target.restore(SERVICE, 3)
        now = scene.now()
        assert now.clean
        assert now.image == now.digest
        assert scene.target.observe(SERVICE).serves(image("v2").ref)
    scene.fake.advance(60)
    assert scene.target.observe(SERVICE).serves(image("v2").ref)
    assert scene.only("v2")


def test_what_was_refused_only_a_moment_ago_may_still_come(scene: Scene) -> None:
    scene.history("v1", "v2")
    service = Service(scene.cluster, SERVICE)
    refused = restoring.Refused(service)

    def lasts() -> bool:
        now = service.there()
        refused.look(now)
        return refused.lasts(now)

    assert not lasts()  # nothing is refused
    with scene.fake.full():
        with pytest.raises(RejectedError):
            scene.target.deploy(PLAN, scene.image("v3"), 3)
        scene.edit({"op": "replace", "path": IMAGE, "value": str(image("v2").ref)})
        scene.settle()
        assert not lasts()
        eventually(lasts)


def test_a_fresh_revision_of_stable_that_was_given_up_is_made_again_once_there_is_room(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "RESTORED_WITHIN", 3.0)
    scene.history("v1")
    scene.canary("v2", 2, percent=30)
    scene.image("v1", Behaviour(unschedulable="0/1 nodes are available"))
    with pytest.raises(UnavailableError, match="0/1 nodes are available"):
        scene.target.restore(SERVICE, 2)
    scene.fake.advance(120)
    scene.image("v1")
    monkeypatch.setattr(restoring, "RESTORED_WITHIN", 30.0)
    scene.target.restore(SERVICE, 2)
    scene.settle()
    assert scene.now().clean
    assert scene.now().settled
    assert scene.now().serves_alone(scene.now().created)
    assert scene.target.observe(SERVICE).serves(image("v1").ref)
    scene.promote("v3", 3)
    assert AGAIN not in scene.fake.isvc(SERVICE)["spec"]["predictor"]["annotations"]


@pytest.mark.parametrize("share", [None, 30])
def test_the_way_back_goes_on_while_no_pod_may_start(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, share: int | None
) -> None:
    """Revisions are made, and their pods refused: for the canary too where it has no share yet."""
    scene.history("v1", "v2")
    if share is not None:
        scene.canary("v3", 3, percent=share)
        scene.served.clear()
    monkeypatch.setattr(restoring, "RESTORED_WITHIN", 2.0)
    no_room = pytest.raises(UnavailableError, match="no room for this pod")
    with scene.fake.denied(POD, lambda asked: not asked.dry_run, message="no room for this pod"):
        if share is None:
            canary = scene.target.deploy(PLAN, scene.image("v3"), 3)
            scene.settle()
            told, why = scene.target.readiness(SERVICE, canary)
            assert told is Readiness.FAILED
            assert "no room for this pod" in why
        for _ in range(2):
            with no_room:
                scene.target.restore(SERVICE, 3)
            assert scene.answers() == {"200 v2"}
            scene.fake.advance(60)  # Knative gives it up meanwhile
    monkeypatch.setattr(restoring, "RESTORED_WITHIN", 30.0)
    scene.target.restore(SERVICE, 3)
    scene.settle()
    assert scene.now().clean
    assert scene.now().serves_alone(scene.now().created)
    assert scene.answers() == {"200 v2"}


def test_a_full_quota_keeps_no_canary_in_traffic_nor_its_pod_in_the_way(scene: Scene) -> None:
    """KServe can change nothing then, not even a percent; so Laurel tells Knative itself."""
    scene.history("v1", "v2")
    scene.fake.advance(100)  # v1 has no pods any more
    canary = scene.canary("v3", 3, percent=30)
    with scene.fake.full(pods=2):
        for _ in range(2):
            with pytest.raises(UnavailableError, match="exceeded quota"):
                scene.target.restore(SERVICE, 3)
            assert scene.answers() == {"200 v2"}
            scene.fake.advance(100)
        assert scene.fake.pods(canary) == []  # in its place a fresh revision of stable has started
        assert len(scene.fake.revisions(SERVICE)) == 4
    scene.target.restore(SERVICE, 3)
    scene.settle()
    assert scene.now().clean
    assert scene.now().serves_alone(scene.now().created)
    assert scene.answers() == {"200 v2"}


def test_a_moment_s_refusal_is_left_to_kserve(scene: Scene) -> None:
    scene.history("v1", "v2")
    scene.canary("v3", 3, percent=30)
    scene.edit({"op": "replace", "path": "/spec/predictor/canaryTrafficPercent", "value": 101})
    scene.settle()
    before = scene.cluster.calls.copy()
    scene.target.restore(SERVICE, 3)
    assert (scene.cluster.calls - before)["patch", "services"] == 0
