"""Traps of KServe and Knative on a real cluster: they catch nobody, and without a guard they do.

Every scenario runs twice, the second time with its guard taken out, which users must feel, or the
guard would guard nothing. Traps whose truth does not depend on what KServe really does are tested
on the fake alone; a table says where each of them is.
"""

import http.client
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.kserve_serving import KServeServing
from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.serving import Hold, Readiness
from pipeline.errors import LaurelError, RejectedError
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
from pipeline.kserve.asking import Gateway
from pipeline.kserve.cluster import connect
from pipeline.kserve.json_patch import Json
from tests.cluster.grounds import Ground
from tests.cluster.models import Model
from tests.cluster.obstacles import denied
from tests.cluster.services import Services, condition, predictor
from tests.cluster.stack.whole import Whole
from tests.cluster.traffic import steady
from tests.servers.waiting import until
from tests.unit.kserve import test_traps as on_the_fake

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).parents[2]
FELT = (AssertionError, pytest.fail.Exception, LaurelError)
_REVISIONS = ("serving.knative.dev", "v1", "revisions")
_PODS = ("", "v1", "pods")
_PATIENCE = 90.0


@dataclass(frozen=True)
class Scene:
    """A service on the cluster with users, and what gets into its way."""

    ground: Ground

    @property
    def name(self) -> str:
        return self.ground.name

    @property
    def target(self) -> KServeServing:
        return self.ground.target

    @contextmanager
    def answered_by(self, *versions: str) -> Iterator[None]:
        """Have users meanwhile, and see that none but these versions answered any of them."""
        try:
            with steady(self.ground.users(), 40, 8) as seen:
                seen.wait(20)
                try:
                    yield
                finally:
                    seen.wait(60)
        finally:
            met = {(each.status, each.version) for each in seen.answers}
            assert met == {(200, version) for version in versions}, seen.counts()

    @contextmanager
    def killed(self, *, after: int) -> Iterator[None]:
        """End Laurel right after so many patches of the InferenceService itself."""
        patch, left = self.ground.cluster.patch, [after]

        def fatal(*args: Any, **how: Any) -> Json:  # noqa: ANN401 - as patch() takes them
            done = patch(*args, **how)
            left[0] -= not how.get("subresource")
            if left[0] <= 0:
                raise Killed
            return done

        self.ground.cluster.patch = fatal  # type: ignore[method-assign]  # its one door
        try:
            yield
        except Killed:
            return
        finally:
            self.ground.cluster.patch = patch  # type: ignore[method-assign]  # its one door

    def tell(self, revision: str, what: str) -> None:
        """Tell the pods of a revision what to be from now on."""
        for pod in self.ground.services.pods(revision):
            to = http.client.HTTPConnection(pod["status"].get("podIP", ""), 8080, timeout=5)
            with closing(to), suppress(OSError, http.client.HTTPException):
                to.request("POST", f"/admin/{what}")
                to.getresponse().read()

    def until(self, seen: Callable[[], object]) -> None:
        until(seen, "the scene", _PATIENCE, lambda: self.ground.now().raw.get("status"))

    def says(self, kind: str) -> str:
        """Read why a condition is as it is."""
        found = condition(self.ground.services.read(self.name), kind)
        return f"{found.get('status')} {found.get('reason', '')}".strip()

    def no_revisions(self) -> AbstractContextManager[None]:
        """Refuse every new revision, as a quota or a slow webhook would."""
        return self._denied(_REVISIONS, "exceeded quota", "false")

    def no_pods_of(self, image: VerifiedImage) -> AbstractContextManager[None]:
        """Refuse the pods of an image, as a signature verifier would."""
        digest = image.ref.digest
        unless = f"!object.spec.containers.exists(c, c.image.contains('{digest}'))"
        return self._denied(_PODS, "image is not signed", unless)

    def _denied(
        self, kind: tuple[str, str, str], message: str, unless: str
    ) -> AbstractContextManager[None]:
        services = self.ground.services
        name = f"no-{kind[2]}-{services.namespace}"
        return denied(
            services.api, name, kind, message, namespace=services.namespace, unless=unless
        )


class Killed(BaseException):
    """What ends Laurel in the middle of a call: nothing catches it."""


@pytest.fixture
def scene(
    cluster: Whole,
    services: Services,
    model: Model,
    kubeconfig: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[str], Scene]]:
    for module, limit, seconds in (
        (deploying, "MADE_WITHIN", 15.0),
        (shifting, "WARM_WITHIN", 5.0),
        (shifting, "SEEN_WITHIN", 15.0),
        (restoring, "RESTORED_WITHIN", 40.0),
    ):
        monkeypatch.setattr(module, limit, seconds)
    with closing(Gateway(cluster.place.gateway)) as gateway:

        def made(name: str) -> Scene:
            door = connect(kubeconfig=kubeconfig, context=None, namespace=services.namespace)
            return Scene(Ground(name, services, model, door, KServeServing(door, gateway)))

        yield made


def percent_on_a_service_at_rest(scene: Scene) -> None:
    _, stable = scene.ground.history("v1", "v2")
    with scene.answered_by("v2"):
        scene.target.shift(scene.name, stable, 10, scene.ground.sequence)


def canary_after_a_bad_one_that_was_only_stopped(scene: Scene) -> None:
    ground = scene.ground
    ground.history("v1")
    ground.canary(ground.image("bad", ERROR_RATE="1"), 10, 0)
    ground.sequence += 1
    slow = ground.image("v3", READY_AFTER="4s")
    with scene.answered_by("v1"):
        ground.wait(ground.target.deploy(ground.plan, slow, ground.sequence))


def crashing_canary_gives_its_share_back(scene: Scene) -> None:
    ground = scene.ground
    ground.history("v1", "v2")
    canary = ground.canary(ground.image("v3"), 30)

    def away() -> bool:
        if scene.says("PredictorRouteReady") == "False RevisionMissing":
            return restarts(ground, canary) >= 2  # it is away for 20 seconds now
        scene.tell(canary, "crash")
        return False

    scene.until(away)
    scene.target.shift(scene.name, canary, 0, ground.sequence)
    with scene.answered_by("v2"):
        pass


def restarts(ground: Ground, revision: str) -> int:
    """Count how often the model's container was started anew."""
    return sum(
        container["restartCount"]
        for pod in ground.services.pods(revision)
        for container in pod["status"].get("containerStatuses", [])
        if container["name"] == "kserve-container"
    )


def refused_revision(scene: Scene) -> None:
    ground = scene.ground
    ground.history("v1", "v2")
    with scene.answered_by("v2"):
        with scene.no_revisions(), pytest.raises(RejectedError, match="exceeded quota"):
            ground.deploy(ground.image("v3"))
        ground.restore()
    assert ground.now().clean


def flipped_memory_is_repaired(scene: Scene) -> None:
    ground = scene.ground
    first, stable = ground.history("v1", "v2")
    canary = ground.canary(ground.image("v3"))
    ground.edit(*patches.repaired(ground.now(), first), subresource="status")
    scene.until(lambda: ground.now().shares().get(first))
    scene.target.shift(scene.name, canary, 10, ground.sequence)
    assert ground.now().rolled_out == stable
    with scene.answered_by("v2", "v3"):
        pass


def pod_that_a_policy_refuses(scene: Scene) -> None:
    ground = scene.ground
    ground.history("v1", "v2")
    refused = ground.image("v3")
    with (
        scene.answered_by("v2"),
        scene.no_pods_of(refused),
        pytest.raises(RejectedError, match="image is not signed"),
    ):
        ground.deploy(refused)


def abort_of_what_an_older_laurel_began(scene: Scene) -> None:
    """Nobody defended what KServe remembers before this canary, and its abort is cut short."""
    ground = scene.ground
    ground.history("v1", "v2")
    refused = ground.image("v3")
    with scene.answered_by("v2"), scene.no_pods_of(refused):
        ground.sequence += 1
        now = ground.now()
        after = spec.changed(now.raw, ground.plan, refused)
        wanted = patches.Wanted(str(refused.ref), "fraud/3", ground.sequence)
        ground.edit(*patches.started(now, after, wanted, stable=""))
        scene.until(lambda: scene.says("PredictorReady") == "False ReconcileFailed")
        with scene.killed(after=1):
            ground.restore()
        scene.until(lambda: scene.says("PredictorReady") == "True")
    ground.restore()
    assert ground.now().clean


def unready_canary_gets_no_more(scene: Scene) -> None:
    ground = scene.ground
    ground.history("v1", "v2")
    canary = ground.canary(ground.image("v3"), 10)
    scene.tell(canary, "unready")
    scene.until(lambda: not any(map(is_ready, ground.services.pods(canary))))
    assert scene.says("Ready") == "True"
    try:
        with pytest.raises(RejectedError, match="its pods were not ready"):
            scene.target.shift(scene.name, canary, 50, ground.sequence)
        assert ground.now().percent == 10
    finally:
        ground.restore()


def is_ready(pod: Json) -> bool:
    conditions = {each["type"]: each["status"] for each in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True"


def crash_at_start_is_told_by_the_pods(scene: Scene) -> None:
    ground = scene.ground
    ground.history("v1")
    ground.sequence += 1
    crashing = ground.image("v2", NEVER_READY="1", CRASH_AFTER="300ms")
    revision = ground.target.deploy(ground.plan, crashing, ground.sequence)
    told, why = Readiness.STARTING, ""
    while told is Readiness.STARTING:
        told, why = ground.target.readiness(scene.name, revision, wait=1.0)
    says = scene.says("Ready")
    ground.restore()
    assert (told, says) == (Readiness.FAILED, "Unknown"), why
    assert "exit code 3" in why
    assert "CRASH_AFTER" in why  # its last words


def hold_makes_no_revision(scene: Scene) -> None:
    ground = scene.ground
    ground.history("v1")
    before = predictor(ground.services.read(scene.name))["latestCreatedRevision"]
    scene.target.hold(scene.name, Hold("ada", "audit", datetime.now(UTC), 3))
    ground.promote(ground.image("v2"))
    numbers = sorted(int(each.rpartition("-")[2]) for each in ground.revisions())
    assert numbers[-1] == int(before.rpartition("-")[2]) + 1


TRAPS: dict[str, tuple[Callable[[Scene], None], tuple[tuple[Any, str, Any], ...]]] = {
    "1 percent alone is a rollback order": (
        percent_on_a_service_at_rest,
        ((shifting, "is_stable", lambda *_: False),),
    ),
    "2 a percent from the start leaks to the last ready revision": (
        canary_after_a_bad_one_that_was_only_stopped,
        ((patches, "started", on_the_fake.starting_with(20)),),
    ),
    "3 no percent from the start gives that revision everything": (
        canary_after_a_bad_one_that_was_only_stopped,
        ((patches, "started", on_the_fake.starting_with(None)),),
    ),
    "4 a crashing canary keeps its share at 0 percent": (
        crashing_canary_gives_its_share_back,
        ((shifting, "ignores_percent", lambda *_: False),),
    ),
    "7 a revision that is refused turns traffic to the version before": (
        refused_revision,
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
    "C every condition hides an unready canary that lives": (
        unready_canary_gets_no_more,
        ((shifting, "warm", lambda *_: None),),
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

ELSEWHERE = {
    "5 the observed generation is not the one of the spec": "tests/unit/kserve/test_traps.py",
    "6 stopping wipes what KServe remembers": "tests/unit/kserve/test_traps.py",
    "B and so it is with what this Laurel began": "tests/unit/kserve/test_traps.py",
    "E the pods of what served before are gone after a minute": "tests/unit/kserve/test_traps.py",
    "6 stopping_a_service_forgets_what_was_promoted": "tests/contract/kubernetes_scenarios.py",
    "8 test_a_service_in_another_mode_than_knative_is_refused": (
        "tests/unit/kserve/test_preflight.py"
    ),
    "9 test_requests_and_errors_are_counted_by_revision_and_none_twice": (
        "tests/cluster/test_metrics_on_the_cluster.py"
    ),
    "D test_the_percent_may_be_100_when_the_next_canary_starts": (
        "tests/unit/kserve/test_traps.py"
    ),
    "D a_percent_of_100_promotes_as_its_absence_does": "tests/contract/kubernetes_scenarios.py",
    "E test_a_rollback_fails_no_request_and_leaves_a_clean_service": (
        "tests/cluster/test_rollback.py"
    ),
    "H test_percent_101_freezes_a_service_only_until_it_is_restored": (
        "tests/unit/kserve/test_traps.py"
    ),
    "H what_knative_refuses_freezes_the_service_until_it_is_mended": (
        "tests/contract/kubernetes_scenarios.py"
    ),
    "I guards_change_all_or_nothing": "tests/contract/kubernetes_scenarios.py",
}
"""Where the traps are that need no real cluster, or have their own test on it."""


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_of_a_real_cluster_catches_users_only_without_its_guard(
    scene: Callable[[str], Scene], trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario, guards = TRAPS[trap]
    scenario(scene("guarded"))
    for where, guard, nothing in guards:
        monkeypatch.setattr(where, guard, nothing)
    with pytest.raises(FELT):
        scenario(scene("unguarded"))


def test_every_trap_has_its_test() -> None:
    known = {*"123456789", *"ABCDEFGHI"}
    assert {name[0] for name in (*TRAPS, *ELSEWHERE)} == known
    for name, where in ELSEWHERE.items():
        text, (_, _, said) = (ROOT / where).read_text(), name.partition(" ")
        assert f"def {said}(" in text or f'"{name}"' in text, name
    assert {*on_the_fake.TRAPS} <= {*TRAPS, *ELSEWHERE}
