"""Each trap of KServe and Knative: what would happen to users, and the guard that prevents it.

``kserve.md`` 0 and ``testbed.md`` 5 say how each was found. Every scenario is run twice: as it is,
and with its guard taken out, which must be felt, or the guard would guard nothing. The same traps
on a real cluster: tests/cluster/test_traps.py.
"""

import contextlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.domain.serving import Hold, Readiness
from pipeline.errors import DriftedError, LaurelError, RejectedError
from pipeline.kserve import (
    deploying,
    inference,
    patches,
    readiness,
    recovery,
    restoring,
    shifting,
    spec,
)
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.json_patch import Json
from pipeline.kserve.patches import Wanted
from pipeline.kserve.recovery import Act, Sight
from pipeline.kserve.resources import INFERENCE_SERVICES
from pipeline.kserve.revisions import Revision
from tests.fakes.kserve_controllers import Behaviour
from tests.fakes.kserve_scene import PLAN, SERVICE, Scene, image, kserve_scene
from tests.fakes.kubernetes_status import POD, REVISION
from tests.fakes.kubernetes_store import Review

PERCENT = "/spec/predictor/canaryTrafficPercent"
STOP = "/metadata/annotations/serving.kserve.io~1stop"
BAD = Behaviour(status=500)
LIMITS = (
    (deploying, "MADE_WITHIN"),
    (shifting, "WARM_WITHIN"),
    (shifting, "SEEN_WITHIN"),
    (restoring, "RESTORED_WITHIN"),
)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(deploying, "MADE_WITHIN", 5.0)  # for what never comes
    monkeypatch.setattr(shifting, "WARM_WITHIN", 5.0)
    with kserve_scene(tmp_path, monkeypatch) as scene:
        yield scene


def percent_on_a_service_at_rest(scene: Scene) -> None:
    _, stable = scene.history("v1", "v2")
    scene.target.shift(SERVICE, stable, 10, 2)
    scene.settle()
    assert scene.only("v2")


def canary_after_a_bad_one_that_was_only_stopped(scene: Scene) -> None:
    scene.history("v1")
    scene.image("bad", BAD)
    bad = scene.target.deploy(PLAN, scene.image("bad", BAD), 2)
    scene.settle()
    scene.target.shift(SERVICE, bad, 10, 2)
    scene.target.shift(SERVICE, bad, 0, 2)
    scene.settle()
    scene.served.clear()
    scene.target.deploy(PLAN, scene.image("v3", Behaviour(ready_after=5.0)), 3)
    scene.settle()
    assert scene.only("v1")


def crashing_canary_gives_its_share_back(scene: Scene) -> None:
    scene.history("v1", "v2")
    canary = scene.canary("v3", 3, percent=30)
    scene.fake.behaviours[str(scene.image("v3").ref.digest)] = Behaviour("v3", crash_after=1.0)
    for _ in range(3):
        scene.fake.crash(canary)
        scene.settle()
    scene.target.shift(SERVICE, canary, 0, 3)
    assert scene.answers() == {"200 v2"}


def revision_is_known_by_its_image(scene: Scene) -> None:
    (stable,) = scene.history("v1")
    with scene.fake.held("configuration"), contextlib.suppress(LaurelError):
        assert scene.target.deploy(PLAN, scene.image("v2"), 2) != stable


def stopped_canary_never_serves(scene: Scene) -> None:
    scene.history("v1", "v2")
    scene.canary("v3", 3)
    scene.edit({"op": "add", "path": STOP, "value": "true"})
    scene.settle()
    scene.target.restore(SERVICE, 3)
    scene.served.clear()
    scene.edit({"op": "remove", "path": STOP})
    scene.settle()
    assert scene.answers() == {"200 v2"}
    assert scene.only("v2")


def delayed_revision(scene: Scene) -> None:
    scene.history("v1", "v2")
    with (
        scene.fake.denied(REVISION, message="exceeded quota"),
        pytest.raises(RejectedError, match="exceeded quota"),
    ):
        scene.target.deploy(PLAN, scene.image("v3"), 3)
    scene.target.restore(SERVICE, 3)
    assert scene.only("v2")
    assert scene.now().clean


def flipped_memory_is_repaired(scene: Scene) -> None:
    """Whoever has written the memory: a person, or a Laurel that was older."""
    first, stable = scene.history("v1", "v2")
    canary = scene.canary("v3", 3)
    now = scene.now()
    scene.cluster.patch(
        INFERENCE_SERVICES, SERVICE, patches.repaired(now, first), subresource="status"
    )
    scene.settle()
    assert "200 v1" in scene.answers()
    scene.target.shift(SERVICE, canary, 10, 3)
    assert scene.now().rolled_out == stable
    assert "200 v1" not in scene.answers()


def pod_that_a_policy_refuses(scene: Scene) -> None:
    scene.history("v1", "v2")
    with (
        scene.fake.denied(POD, runs("v3"), message="image is not signed"),
        pytest.raises(RejectedError, match="image is not signed"),
    ):
        scene.target.deploy(PLAN, scene.image("v3"), 3)


def abort_without_a_revision(scene: Scene) -> None:
    scene.history("v1", "v2")
    with scene.fake.denied(POD, runs("v3")):
        with contextlib.suppress(LaurelError):
            scene.target.deploy(PLAN, scene.image("v3"), 3)
        with scene.killed(after=1, subresource=""):
            scene.target.restore(SERVICE, 3)
        scene.settle()
        assert scene.only("v2")
        scene.target.restore(SERVICE, 3)
    assert scene.now().clean


def abort_of_what_an_older_laurel_began(scene: Scene) -> None:
    """Nobody defended what KServe remembers before this canary."""
    scene.history("v1", "v2")
    with scene.fake.denied(POD, runs("v3")):
        now = scene.now()
        after = spec.changed(now.raw, PLAN, scene.image("v3"))
        wanted = Wanted(str(scene.image("v3").ref), "fraud/3", 3)
        scene.edit(*patches.started(now, after, wanted, stable=""))
        scene.settle()
        with scene.killed(after=1, subresource=""):
            scene.target.restore(SERVICE, 3)
        scene.settle()
    assert scene.only("v2")


def runs(name: str) -> Callable[[Review], bool]:
    """Choose the pods of one image."""
    wanted = str(image(name).ref)
    return lambda asked: any(
        one.get("image") == wanted for one in asked.object["spec"]["containers"]
    )


def unready_canary_gets_no_more(scene: Scene) -> None:
    scene.history("v1", "v2")
    canary = scene.canary("v3", 3, percent=10)
    scene.fake.unready(canary)
    scene.settle()
    assert all(said.true for said in scene.now().conditions.values() if said.status != "False")
    with pytest.raises(RejectedError, match="its pods were not ready"):
        scene.target.shift(SERVICE, canary, 50, 3)
    assert scene.now().percent == 10


def rollback_meets_no_cold_pod(scene: Scene) -> None:
    first, _ = scene.history("v1", "v2")
    scene.fake.advance(200)
    back = scene.target.deploy(PLAN, scene.image("v1"), 3, at_once=True)
    assert back != first


def crash_at_start_is_told_by_the_pods(scene: Scene) -> None:
    scene.history("v1")
    kind = Behaviour(crash_after=1.0, ready_after=None, output="no such file: model.pkl\n")
    revision = scene.target.deploy(PLAN, scene.image("v2", kind), 2)
    scene.fake.advance(5)
    told, why = scene.target.readiness(SERVICE, revision)
    assert told is Readiness.FAILED
    assert "exit code 3" in why
    assert "no such file: model.pkl" in why


def hold_makes_no_revision(scene: Scene) -> None:
    scene.history("v1")
    scene.target.hold(SERVICE, Hold("ada", "audit", scene.fake.store.now(), 3))
    scene.settle()
    assert len(scene.fake.revisions(SERVICE)) == 1
    assert scene.target.observe(SERVICE).hold is not None


def starting_with(percent: int | None) -> Callable[..., list[Json]]:
    """Start a canary as others do: with some percent at once, or without any."""
    begun = patches.started

    def started(now: InferenceService, after: Json, wanted: Wanted, *, stable: str) -> list[Json]:
        said = begun(now, after, wanted, stable=stable)
        if percent is not None:
            return [{**one, "value": percent} if _gives(one) else one for one in said]
        if now.percent is None:
            return [one for one in said if not _gives(one)]
        return [*said, {"op": "remove", "path": PERCENT}]

    return started


def _gives(one: Json) -> bool:
    return bool(one["path"] == PERCENT and one["op"] != "test")


def unstopped(sight: Sight) -> Act:
    """Decide as if nobody had stopped the service."""
    raw = deepcopy(sight.now.raw)
    del raw["metadata"]["annotations"]["serving.kserve.io/stop"]
    return recovery.decide(replace(sight, now=InferenceService.parse(raw)))


TRAPS: dict[str, tuple[Callable[[Scene], None], tuple[tuple[Any, str, Any], ...]]] = {
    "1 percent alone is a rollback order": (
        percent_on_a_service_at_rest,
        ((shifting, "is_stable", lambda *_: False),),
    ),
    "2 a percent from the start leaks to the last ready revision": (
        canary_after_a_bad_one_that_was_only_stopped,
        ((patches, "started", starting_with(20)),),
    ),
    "3 no percent from the start gives that revision everything": (
        canary_after_a_bad_one_that_was_only_stopped,
        ((patches, "started", starting_with(None)),),
    ),
    "4 a crashing canary keeps its share at 0 percent": (
        crashing_canary_gives_its_share_back,
        ((shifting, "ignores_percent", lambda *_: False),),
    ),
    "5 the observed generation is not the one of the spec": (
        revision_is_known_by_its_image,
        ((deploying, "runs", lambda *_: True),),
    ),
    "6 stopping wipes what KServe remembers": (
        stopped_canary_never_serves,
        ((restoring, "decide", unstopped),),
    ),
    "7 a revision that is refused turns traffic to the version before": (
        delayed_revision,
        ((deploying, "defend", lambda *_: None),),
    ),
    "7 what KServe remembers wrongly is corrected": (
        flipped_memory_is_repaired,
        ((shifting, "keep_memory", lambda *_: False),),
    ),
    "A a pod that a policy refuses makes no revision": (
        pod_that_a_policy_refuses,
        ((deploying, "refusal", lambda *_: ""),),
    ),
    "B aborting what made no revision is a rollback order": (
        abort_of_what_an_older_laurel_began,
        ((recovery, "defenceless", lambda *_: False),),
    ),
    "B and so it is with what this Laurel began": (
        abort_without_a_revision,
        (
            (recovery, "defenceless", lambda *_: False),
            (deploying, "defend", lambda *_: None),
        ),
    ),
    "C every condition hides an unready canary that lives": (
        unready_canary_gets_no_more,
        ((shifting, "warm", lambda *_: None),),
    ),
    "E the pods of what served before are gone after a minute": (
        rollback_meets_no_cold_pod,
        ((Revision, "warm", lambda *_: True),),
    ),
    "F a crash at start shows only after the progress deadline": (
        crash_at_start_is_told_by_the_pods,
        ((readiness, "last_words", lambda *_: None),),
    ),
    "G annotations are copied into the template": (
        hold_makes_no_revision,
        (
            (spec, "shield", lambda _: None),
            (inference, "shielded", lambda _: True),
        ),
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_catches_nobody(scene: Scene, trap: str) -> None:
    scenario, _ = TRAPS[trap]
    scenario(scene)


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_without_its_guard_is_felt(
    scene: Scene, trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario, guards = TRAPS[trap]
    for module, limit in LIMITS:
        monkeypatch.setattr(module, limit, 2.0)
    for where, guard, nothing in guards:
        monkeypatch.setattr(where, guard, nothing)
    with pytest.raises((AssertionError, pytest.fail.Exception, LaurelError)):
        scenario(scene)


def test_percent_101_freezes_a_service_only_until_it_is_restored(scene: Scene) -> None:
    scene.history("v1")
    canary = scene.canary("v2", 2)
    scene.edit({"op": "replace", "path": PERCENT, "value": 101})
    scene.settle()
    with pytest.raises(DriftedError, match="101 % by hand"):
        scene.target.shift(SERVICE, canary, 50, 2)
    scene.target.restore(SERVICE, 2)
    scene.settle()
    assert scene.now().clean
    assert scene.now().condition("PredictorReady").true
    assert scene.only("v1")


def test_the_percent_may_be_100_when_the_next_canary_starts(scene: Scene) -> None:
    """Trap D: it promotes as its removal does; whoever wrote it, the next canary starts at 0 %."""
    scene.history("v1", "v2")
    scene.edit({"op": "add", "path": PERCENT, "value": 100})
    scene.settle()
    scene.canary("v3", 3)
    assert scene.only("v2")
