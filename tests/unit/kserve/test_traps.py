"""Traps of KServe and Knative on the fake cluster, with their guards and without.

The table and its scenarios: tests/contract/kserve_traps.py. Here none of them waits, and all that
the gateway was ever told is looked at, not only what some requests met. On a real cluster:
tests/cluster/test_traps.py.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.serving import Readiness
from pipeline.errors import LaurelError
from pipeline.kserve import deploying, restoring, shifting
from pipeline.kserve.inference import InferenceService
from tests.contract.kserve_stage import Manner, Stage
from tests.contract.kserve_trap_scenarios import LAST_WORDS
from tests.contract.kserve_traps import TRAPS
from tests.fakes.kserve_controllers import Behaviour
from tests.fakes.kserve_scene import SERVICE, Scene, kserve_scene
from tests.fakes.kubernetes_status import POD, REVISION
from tests.fakes.kubernetes_store import Review

_LONGEST = 120


class FakeStage(Stage):
    """A service on the fake cluster: time is its own, and passes at once."""

    def __init__(self, scene: Scene) -> None:
        self.name = SERVICE
        self.cluster = scene.cluster
        self.target = scene.target
        self.sequence = 0
        self._scene = scene

    @property
    def plan(self) -> Plan:
        return self._scene.plan

    def image(self, version: str) -> VerifiedImage:
        return self._scene.image(version)

    def image_like(self, version: str, manner: Manner) -> VerifiedImage:
        kind = Behaviour(ready_after=manner.ready_after, status=500 if manner.fails else 200)
        if manner.crashes_at_start:
            kind = Behaviour(crash_after=1.0, ready_after=None, output=f"{LAST_WORDS}\n")
        return self._scene.image(version, kind)

    def now(self) -> InferenceService:
        return self._scene.now()

    def judged(self, revision: str) -> tuple[Readiness, str]:
        found: list[tuple[Readiness, str]] = []

        def decided() -> bool:
            found[:] = [self.target.readiness(self.name, revision)]
            return found[0][0] is not Readiness.STARTING

        self.until(decided)
        return found[0]

    def until(self, seen: Callable[[], object]) -> None:
        for _ in range(_LONGEST):
            self._scene.settle()
            if seen():
                return
            self._scene.fake.advance(1)
        raise AssertionError("not seen")

    @contextmanager
    def answered_by(self, *versions: str) -> Iterator[None]:
        self._scene.settle()
        self._scene.served.clear()
        try:
            yield
        finally:
            met = self._scene.answers()
            for shares in self._scene.served:
                met |= {f"200 {who}" for who in shares}
            assert met <= {f"200 {version}" for version in versions}, sorted(
                each.split()[-1] for each in met
            )

    def no_revisions(self) -> AbstractContextManager[None]:
        return self._scene.fake.denied(REVISION, message="exceeded quota")

    def no_pods_of(self, image: VerifiedImage) -> AbstractContextManager[None]:
        return self._scene.fake.denied(POD, _runs(image), message="image is not signed")

    def crash(self, revision: str) -> None:
        self._scene.fake.crash(revision)
        self._scene.settle()

    def unready(self, revision: str) -> None:
        self._scene.fake.unready(revision)


def _runs(image: VerifiedImage) -> Callable[[Review], bool]:
    """Choose the pods of one image."""
    return lambda asked: any(
        one.get("image") == str(image.ref) for one in asked.object["spec"]["containers"]
    )


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    for module, limit in (
        (deploying, "MADE_WITHIN"),
        (shifting, "WARM_WITHIN"),
        (shifting, "SEEN_WITHIN"),
        (restoring, "RESTORED_WITHIN"),
    ):
        monkeypatch.setattr(module, limit, 4.0)  # for what never comes
    with kserve_scene(tmp_path, monkeypatch) as scene:
        yield FakeStage(scene)


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_catches_nobody(stage: Stage, trap: str) -> None:
    TRAPS[trap].scenario(stage)


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_without_its_guard_is_felt(
    stage: Stage, trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = TRAPS[trap]
    for where, guard, nothing in known.guards:
        monkeypatch.setattr(where, guard, nothing)
    felt = (AssertionError, pytest.fail.Exception, LaurelError)
    with pytest.raises(felt, match=known.felt):
        known.scenario(stage)
