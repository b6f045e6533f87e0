"""Whole ways of a promotion on KServe: well, badly, interrupted, and back again."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.domain.pods import PodPlan
from pipeline.domain.serving import Hold, Readiness
from pipeline.errors import (
    ConflictError,
    DriftedError,
    NotFoundError,
    RejectedError,
    StaleSequenceError,
    UnavailableError,
)
from pipeline.kserve import deploying, restoring, shifting
from pipeline.kserve.resources import INFERENCE_SERVICES
from tests.fakes.kserve_controllers import Behaviour
from tests.fakes.kserve_scene import PLAN, SERVICE, Scene, image, kserve_scene
from tests.fakes.kubernetes_status import ISVC, REVISION, Json

PERCENT = "/spec/predictor/canaryTrafficPercent"
IMAGE = "/spec/predictor/containers/0/image"
NEVER = Behaviour(ready_after=None)
LIMITS = (
    (deploying, "MADE_WITHIN"),
    (shifting, "WARM_WITHIN"),
    (shifting, "SEEN_WITHIN"),
    (restoring, "RESTORED_WITHIN"),
)
Hurry = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with kserve_scene(tmp_path, monkeypatch) as scene:
        yield scene


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> Hurry:
    """Wait for nothing long, for as long as the context lasts: for what does not come in it."""

    @contextmanager
    def hurry() -> Iterator[None]:
        with monkeypatch.context() as patched:
            for module, limit in LIMITS:
                patched.setattr(module, limit, 1.0)
            yield

    return hurry


def set_percent(scene: Scene, percent: int) -> None:
    scene.edit({"op": "add", "path": PERCENT, "value": percent})
    scene.settle()


def set_image(scene: Scene, name: str) -> None:
    scene.edit({"op": "replace", "path": IMAGE, "value": str(scene.image(name).ref)})
    scene.settle()


def nothing(scene: Scene) -> None:
    del scene


def canary_at_0(scene: Scene) -> None:
    scene.canary("v3", 3)


def canary_at_30(scene: Scene) -> None:
    scene.canary("v3", 3, percent=30)


def canary_never_ready(scene: Scene) -> None:
    scene.target.deploy(PLAN, scene.image("v3", NEVER), 3)
    scene.fake.advance(30)


def canary_crashing(scene: Scene) -> None:
    revision = scene.canary("v3", 3, percent=30)
    scene.fake.behaviours[str(image("v3").ref.digest)] = Behaviour("v3", crash_after=1.0)
    for _ in range(3):
        scene.fake.crash(revision)
        scene.settle()


def canary_unready(scene: Scene) -> None:
    scene.fake.unready(scene.canary("v3", 3, percent=30))
    scene.settle()


def canary_refused(scene: Scene) -> None:
    with scene.fake.denied(REVISION), pytest.raises(RejectedError):
        scene.target.deploy(PLAN, scene.image("v3"), 3)


def canary_at_101(scene: Scene) -> None:
    scene.canary("v3", 3)
    set_percent(scene, 101)


def percent_by_hand(scene: Scene) -> None:
    canary_at_0(scene)
    set_percent(scene, 10)


def port_by_hand(scene: Scene) -> None:
    scene.edit(
        {
            "op": "replace",
            "path": "/spec/predictor/containers/0/ports/0/containerPort",
            "value": 9090,
        },
        {"op": "replace", "path": IMAGE, "value": str(scene.image("v3").ref)},
    )
    scene.settle()


BAD_STATES = (
    nothing,
    canary_at_0,
    canary_at_30,
    canary_never_ready,
    canary_crashing,
    canary_unready,
    canary_refused,
    canary_at_101,
    percent_by_hand,
)


@pytest.mark.parametrize("bad", BAD_STATES, ids=lambda bad: bad.__name__)
def test_stable_has_everything_again_from_every_state(
    scene: Scene, bad: Callable[[Scene], None]
) -> None:
    scene.history("v1", "v2")
    bad(scene)
    scene.target.restore(SERVICE, 3)
    now = scene.now()
    assert now.clean
    assert now.image == str(image("v2").ref)
    assert scene.answers() == {"200 v2"}
    assert scene.only("v2", "v3"), "the version before never served again"
    seen = scene.target.observe(SERVICE)
    assert (seen.canary, seen.drift, seen.sequence) == (None, "", 3)


def promoted_by_hand(scene: Scene) -> None:
    canary_at_30(scene)
    scene.edit({"op": "remove", "path": PERCENT})
    scene.settle()


def another_image_by_hand(scene: Scene) -> None:
    canary_at_30(scene)
    set_image(scene, "v9")


def another_image_promoted_by_hand(scene: Scene) -> None:
    set_image(scene, "v9")


def rolled_back_by_hand(scene: Scene) -> None:
    set_percent(scene, 0)


@pytest.mark.parametrize(
    "edit",
    [
        promoted_by_hand,
        another_image_by_hand,
        another_image_promoted_by_hand,
        rolled_back_by_hand,
        canary_at_101,
        percent_by_hand,
    ],
    ids=lambda edit: edit.__name__,
)
def test_what_somebody_changed_by_hand_is_seen_and_healed(
    scene: Scene, edit: Callable[[Scene], None]
) -> None:
    scene.history("v1", "v2")
    edit(scene)
    assert "by hand" in scene.target.observe(SERVICE).drift
    scene.target.restore(SERVICE, 3)
    scene.settle()
    assert scene.now().clean
    assert scene.answers() == {"200 v2"}
    assert scene.target.observe(SERVICE).drift == ""


def test_what_was_promoted_by_hand_long_ago_is_healed_without_a_cold_pod(scene: Scene) -> None:
    scene.history("v1", "v2")
    promoted_by_hand(scene)
    scene.fake.advance(200)
    scene.target.restore(SERVICE, 3)
    assert scene.answers() == {"200 v2"}


def test_a_reserved_port_by_hand_freezes_nothing_for_ever(scene: Scene) -> None:
    scene.history("v1", "v2")
    port_by_hand(scene)
    assert scene.now().condition("PredictorReady").reason == "ReconcileFailed"
    assert scene.answers() == {"200 v2"}


def run_to_the_end(scene: Scene) -> None:
    revision = scene.canary("v3", 3, percent=10)
    scene.target.shift(SERVICE, revision, 50, 3)
    scene.target.complete(SERVICE, revision, 3)


def run_and_give_up(scene: Scene) -> None:
    scene.canary("v3", 3, percent=10)
    scene.target.restore(SERVICE, 3)


def run_back(scene: Scene) -> None:
    revision = scene.target.deploy(PLAN, scene.image("v1"), 3, at_once=True)
    scene.target.complete(SERVICE, revision, 3)


@pytest.mark.parametrize("after", range(1, 7))
@pytest.mark.parametrize("run", [run_to_the_end, run_and_give_up, run_back])
def test_who_is_killed_after_any_patch_ends_where_the_others_do(
    scene: Scene, run: Callable[[Scene], None], after: int
) -> None:
    scene.history("v1", "v2")
    with scene.killed(after=after):
        run(scene)
    resumed(scene, run)
    scene.settle()
    now = scene.now()
    served = "v2" if run is run_and_give_up else "v1" if run is run_back else "v3"
    assert now.clean
    assert now.digest == now.image == str(image(served).ref)
    assert scene.answers() == {f"200 {served}"}
    expected = 3 if run is not run_and_give_up else 4
    assert len(scene.fake.revisions(SERVICE)) == expected
    assert scene.only("v2", "v1" if run is run_back else "v3")


def resumed(scene: Scene, run: Callable[[Scene], None]) -> None:
    """Go on as a worker that was started again does: from what stands there."""
    given_up = scene.now().image == str(image("v2").ref) and scene.now().sequence == 3
    if run is run_and_give_up and given_up:
        scene.target.restore(SERVICE, 3)
    elif scene.now().digest != str(image("v3").ref):
        run(scene)
    else:
        scene.target.complete(SERVICE, scene.now().created, 3)


def test_a_first_deploy_that_failed_leaves_nothing_of_itself(scene: Scene) -> None:
    scene.target.deploy(PLAN, scene.image("v1", NEVER), 1)
    scene.target.restore(SERVICE, 1)
    scene.target.restore(SERVICE, 1)
    scene.settle()
    assert scene.fake.store.all(ISVC) == []
    assert scene.fake.revisions(SERVICE) == []


def test_a_first_deploy_is_replaced_by_a_newer_one(scene: Scene) -> None:
    scene.target.deploy(PLAN, scene.image("v1", NEVER), 1)
    scene.promote("v2", 2)
    assert scene.answers() == {"200 v2"}
    assert scene.now().clean


def foreign(scene: Scene, predictor: Json) -> None:
    scene.cluster.create(
        INFERENCE_SERVICES,
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": SERVICE, "annotations": {"team": "risk"}},
            "spec": {"predictor": predictor},
        },
    )
    scene.settle()


def custom(scene: Scene, name: str) -> Json:
    return {
        "minReplicas": 1,
        "containers": [
            {
                "name": "kserve-container",
                "image": str(scene.image(name).ref),
                "ports": [{"containerPort": 8080}],
                "resources": {"limits": {"cpu": "2", "memory": "3Gi"}},
            }
        ],
    }


def test_a_service_that_laurel_did_not_make_is_left_alone_by_restoring(scene: Scene) -> None:
    foreign(scene, custom(scene, "v1"))
    before = scene.fake.isvc(SERVICE)
    seen = scene.target.observe(SERVICE)
    assert seen.foreign is not None
    assert seen.serves(image("v1").ref)
    scene.target.restore(SERVICE, 7)
    scene.target.hold(SERVICE, Hold("ada", "audit", datetime(2026, 11, 21, tzinfo=UTC)))
    assert scene.fake.isvc(SERVICE) == before


def test_a_service_is_taken_over_with_a_canary_and_given_back_as_it_was(scene: Scene) -> None:
    foreign(scene, custom(scene, "v1"))
    before = scene.fake.isvc(SERVICE)["spec"]
    assert "set adopt: true" in scene.target.differences(PLAN, image("v2"))[0]
    with pytest.raises(RejectedError, match="set adopt: true"):
        scene.target.deploy(PLAN, scene.image("v2"), 1)
    scene.plan = replace(PLAN, pods=replace(PLAN.pods, adopt=True))
    shown = scene.target.differences(scene.plan, image("v2"))
    assert any(line.startswith("+") and str(image("v2").ref) in line for line in shown)
    scene.served.clear()
    scene.canary("v2", 1, percent=10)
    assert scene.target.observe(SERVICE).foreign is None
    scene.target.restore(SERVICE, 1)
    assert scene.answers() == {"200 v1"}
    assert scene.only("v1", "v2")
    after = scene.fake.isvc(SERVICE)["spec"]
    assert after["predictor"]["containers"] == before["predictor"]["containers"]
    scene.promote("v3", 2)
    assert scene.answers() == {"200 v3"}
    assert scene.target.differences(scene.plan, image("v4")) == ()


def test_a_model_is_taken_over_and_given_back(scene: Scene) -> None:
    scene.plan = replace(PLAN, pods=replace(PLAN.pods, adopt=True))
    foreign(
        scene, {"model": {"modelFormat": {"name": "sklearn"}, "storageUri": "s3://models/fraud"}}
    )
    before = scene.fake.isvc(SERVICE)["spec"]["predictor"]
    assert "sklearn" in str(scene.target.observe(SERVICE).foreign)
    canary = scene.canary("v2", 1)
    scene.target.shift(SERVICE, canary, 10, 1)
    scene.target.restore(SERVICE, 1)
    scene.settle()
    after = scene.fake.isvc(SERVICE)["spec"]["predictor"]
    assert after["model"] == before["model"]
    assert "containers" not in after
    assert "canaryTrafficPercent" not in after
    assert "sklearn" in str(scene.target.observe(SERVICE).foreign)
    scene.promote("v3", 2)
    assert scene.answers() == {"200 v3"}


def test_an_image_that_serves_already_is_recognised_without_a_new_revision(scene: Scene) -> None:
    foreign(scene, custom(scene, "v1"))
    (one,) = scene.fake.revisions(SERVICE)
    assert scene.target.deploy(PLAN, image("v1"), 1) == one["metadata"]["name"]
    scene.settle()
    assert len(scene.fake.revisions(SERVICE)) == 1


def test_an_edit_while_the_share_is_awaited_is_told(scene: Scene) -> None:
    scene.history("v1")
    canary = scene.canary("v2", 2)
    patch = scene.cluster.patch

    def and_somebody_else(*args: Any, **how: Any) -> Json:  # noqa: ANN401 - as patch() takes them
        done = patch(*args, **how)
        scene.edit({"op": "replace", "path": PERCENT, "value": 77})
        return done

    with scene.fake.held("kserve"):
        scene.cluster.patch = and_somebody_else  # type: ignore[method-assign]  # its one door
        with pytest.raises(DriftedError, match=r"set to 77 % by hand.*Laurel gave 10 %"):
            scene.target.shift(SERVICE, canary, 10, 2)
    scene.cluster.patch = patch  # type: ignore[method-assign]  # its one door
    scene.target.restore(SERVICE, 2)
    assert scene.answers() == {"200 v1"}


def test_a_newer_promotion_that_wrote_while_the_share_is_awaited_has_the_service(
    scene: Scene,
) -> None:
    scene.history("v1")
    canary = scene.canary("v2", 2)
    with scene.fake.held("kserve"):
        sequence = "/metadata/annotations/laurel.dev~1sequence"
        scene.edit({"op": "replace", "path": sequence, "value": "9"})
        with pytest.raises(StaleSequenceError, match="promotion 9"):
            scene.target.shift(SERVICE, canary, 10, 2)


@pytest.mark.parametrize("stage", ["kserve", "route", "gateway"])
def test_a_share_that_nobody_gives_is_waited_for_and_then_tried_again(
    scene: Scene, stage: str, hurried: Hurry
) -> None:
    scene.history("v1")
    canary = scene.canary("v2", 2)
    away = pytest.raises(UnavailableError, match="the gateway did not have")
    with scene.fake.held(stage), hurried(), away:
        scene.target.shift(SERVICE, canary, 10, 2)
    scene.settle()
    scene.target.shift(SERVICE, canary, 10, 2)
    with scene.fake.held(stage), hurried(), away:
        scene.target.complete(SERVICE, canary, 2)
    scene.target.complete(SERVICE, canary, 2)
    assert scene.answers() == {"200 v2"}


def test_a_controller_that_is_away_is_waited_for(scene: Scene, hurried: Hurry) -> None:
    scene.history("v1")
    made_none = pytest.raises(UnavailableError, match="KServe made none in")
    with scene.fake.held("kserve"), hurried(), made_none:
        scene.target.deploy(PLAN, scene.image("v2"), 2)
    scene.target.deploy(PLAN, scene.image("v2"), 2)
    not_yet = pytest.raises(UnavailableError, match="look again")
    with scene.fake.held("kserve"), hurried(), not_yet:
        scene.target.restore(SERVICE, 2)
    scene.target.restore(SERVICE, 2)
    assert scene.answers() == {"200 v1"}


def test_a_fresh_revision_of_stable_that_does_not_start_is_told(
    scene: Scene, hurried: Hurry
) -> None:
    scene.history("v1")
    scene.canary("v2", 2)
    scene.image("v1", Behaviour(ready_after=5.0))
    with hurried(), pytest.raises(UnavailableError, match="0 of 1 pods are ready"):
        scene.target.restore(SERVICE, 2)
    scene.fake.advance(10)
    scene.target.restore(SERVICE, 2)
    assert scene.only("v1")


def test_a_canary_scaled_to_zero_is_woken_before_it_gets_a_share(scene: Scene) -> None:
    plan = replace(PLAN, pods=PodPlan(min_replicas=0))
    revision = scene.target.deploy(plan, scene.image("v1"), 1)
    scene.settle()
    scene.target.complete(SERVICE, revision, 1)
    canary = scene.target.deploy(plan, scene.image("v2"), 2)
    scene.settle()
    scene.fake.advance(200)
    assert scene.fake.pods(canary) == []
    assert scene.target.readiness(SERVICE, canary)[0] is Readiness.READY
    scene.target.shift(SERVICE, canary, 10, 2)
    assert len(scene.fake.pods(canary)) == 1


def test_every_replica_is_ready_before_the_canary_gets_a_share(
    scene: Scene, hurried: Hurry
) -> None:
    scene.plan = replace(PLAN, pods=replace(PLAN.pods, min_replicas=2))
    scene.history("v1")
    canary = scene.canary("v2", 2)
    scene.fake.pods(canary)[0].container.unready = True
    scene.fake.advance(1)
    with hurried(), pytest.raises(RejectedError, match="1 of 2 pods are ready"):
        scene.target.shift(SERVICE, canary, 10, 2)
    assert scene.only("v1")


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (Behaviour(crash_after=1.0, ready_after=None), "ended with exit code 3"),
        (Behaviour(crash_after=1.0, ready_after=None, oom=True), "OOMKilled"),
        (Behaviour(unpullable="manifest unknown"), "manifest unknown"),
        (Behaviour(unschedulable="0/1 nodes: Insufficient cpu"), "Insufficient cpu"),
        (NEVER, "ProgressDeadlineExceeded"),
    ],
)
def test_a_revision_that_cannot_serve_says_why(
    scene: Scene, behaviour: Behaviour, said: str
) -> None:
    scene.history("v1")
    revision = scene.target.deploy(PLAN, scene.image("v2", behaviour), 2)
    scene.fake.advance(30)
    told, why = scene.target.readiness(SERVICE, revision)
    assert told is Readiness.FAILED
    assert said in why
    seen = scene.target.observe(SERVICE)
    assert seen.canary is not None
    assert seen.canary.readiness is not Readiness.READY
    assert seen.canary.detail


def test_a_whole_canary_costs_few_calls(scene: Scene) -> None:
    scene.history("v1")
    before = scene.cluster.calls.total()
    revision = scene.target.deploy(PLAN, scene.image("v2"), 2)
    scene.settle()
    assert scene.target.readiness(SERVICE, revision)[0] is Readiness.READY
    for percent in (10, 25, 50):
        scene.target.shift(SERVICE, revision, percent, 2)
    scene.target.complete(SERVICE, revision, 2)
    assert scene.cluster.calls.total() - before <= 45


def test_any_digest_can_be_returned_to(scene: Scene) -> None:
    scene.history("v1", "v2", "v3")
    scene.fake.advance(300)
    revision = scene.target.deploy(PLAN, scene.image("v1"), 4, at_once=True)
    scene.settle()
    scene.target.complete(SERVICE, revision, 4)
    assert scene.answers() == {"200 v1"}
    assert scene.only("v3", "v1")
    seen = scene.target.observe(SERVICE)
    assert seen.stable is not None
    assert seen.stable.model_version == 1


def test_turning_back_is_quick_and_every_request_is_answered(scene: Scene) -> None:
    first, _ = scene.history("v1", "v2")
    assert scene.target.deploy(PLAN, scene.image("v1"), 3, at_once=True) == first
    seen = scene.target.observe(SERVICE)
    assert (seen.drift, seen.canary) == ("", None)
    scene.target.complete(SERVICE, first, 3)
    assert scene.only("v2", "v1")
    assert scene.now().clean


def test_what_was_judged_is_never_a_revision_that_stands(scene: Scene) -> None:
    first, _ = scene.history("v1", "v2")
    assert scene.target.deploy(PLAN, scene.image("v1"), 3) != first


def test_an_image_that_somebody_put_there_is_adopted(scene: Scene) -> None:
    scene.history("v1", "v2")
    set_image(scene, "v9")
    with pytest.raises(ConflictError, match="another one by now"):
        scene.target.adopt(SERVICE, image("v8"))
    scene.target.adopt(SERVICE, image("v9"))
    seen = scene.target.observe(SERVICE)
    assert (seen.drift, seen.sequence) == ("", 2)
    assert seen.serves(image("v9").ref)
    scene.target.restore(SERVICE, 3)
    assert scene.answers() == {"200 v9"}


def test_a_service_that_was_deleted_is_said_to_be_gone(scene: Scene) -> None:
    scene.history("v1")
    canary = scene.canary("v2", 2)
    scene.fake.store.delete(ISVC, scene.fake.namespace, SERVICE)
    scene.settle()
    for call in (
        lambda: scene.target.shift(SERVICE, canary, 10, 2),
        lambda: scene.target.complete(SERVICE, canary, 2),
        lambda: scene.target.readiness(SERVICE, canary),
        lambda: scene.target.ask(SERVICE, canary, b"{}"),
    ):
        with pytest.raises(NotFoundError, match="somebody deleted it"):
            call()
    scene.target.restore(SERVICE, 2)
    scene.target.hold(SERVICE, None)
    assert scene.target.observe(SERVICE).stable is None


def test_a_canary_is_asked_at_0_percent(scene: Scene) -> None:
    scene.history("v1")
    canary = scene.canary("v2", 2)
    scene.settle()
    status, _ = scene.target.ask(SERVICE, canary, b"{}")
    assert status == 200
    with scene.fake.held("gateway"):
        scene.fake.world.gateway = {}
        with pytest.raises(UnavailableError, match="the gateway answers 404"):
            scene.target.ask(SERVICE, canary, b"{}")


def test_a_revision_without_an_address_is_not_asked(scene: Scene) -> None:
    scene.history("v1")
    with scene.fake.held("route"):
        revision = scene.target.deploy(PLAN, scene.image("v2"), 2)
        with pytest.raises(UnavailableError, match="has no address for it yet"):
            scene.target.ask(SERVICE, revision, b"{}")


def test_an_unreadable_hold_is_none(scene: Scene) -> None:
    scene.history("v1")
    scene.edit({"op": "add", "path": "/metadata/annotations/laurel.dev~1hold", "value": "{"})
    assert scene.target.observe(SERVICE).hold is None
    scene.target.keep()
