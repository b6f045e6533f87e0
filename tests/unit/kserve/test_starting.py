"""Who waits for a revision asks every second: the cluster is asked far more rarely."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.domain.serving import Readiness
from pipeline.errors import UnavailableError
from pipeline.kserve import starting
from pipeline.kserve.revisions import Revision
from pipeline.kserve.service import Service
from tests.fakes.kserve_controllers import Behaviour
from tests.fakes.kserve_scene import PLAN, SERVICE, Scene, kserve_scene
from tests.fakes.local_machine import eventually

NEVER = Behaviour(ready_after=None)
WATCHED = ("watch", "revisions")


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with kserve_scene(tmp_path, monkeypatch) as scene:
        yield scene


class Ended:
    """A watch that ended at once without a change; ``planned`` is how long each was to last."""

    planned: list[float]
    changed = False

    def __init__(self, service: Service, found: Revision, need: int, seconds: float) -> None:
        del service, found, need
        self.planned.append(seconds)

    def over(self, wait: float) -> bool:
        return wait > 0


def test_one_watch_serves_all_who_ask_meanwhile(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "FIRST_LOOK", 5.0)
    revision = scene.target.deploy(PLAN, scene.image("v1", NEVER), 1)
    scene.settle()
    before = scene.cluster.calls.copy()
    for _ in range(20):
        told = scene.target.readiness(SERVICE, revision, wait=0.01)
        assert told == (Readiness.STARTING, "0 of 1 pods are ready")
    eventually(lambda: scene.cluster.calls[WATCHED] > before[WATCHED])
    made = scene.cluster.calls - before
    assert made[WATCHED] == 1
    assert made.total() <= 6


def test_who_waits_is_answered_when_the_revision_changes(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "FIRST_LOOK", 30.0)
    revision = scene.target.deploy(PLAN, scene.image("v1", Behaviour(ready_after=5.0)), 1)
    assert scene.target.readiness(SERVICE, revision, wait=0.01)[0] is Readiness.STARTING
    scene.fake.advance(10)
    eventually(lambda: scene.target.readiness(SERVICE, revision, wait=30.0)[0] is Readiness.READY)


def test_the_longer_nothing_changes_the_more_rarely_everything_is_looked_at(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ended, "planned", [], raising=False)
    monkeypatch.setattr(starting, "_Watch", Ended)
    revision = scene.target.deploy(PLAN, scene.image("v1", NEVER), 1)
    scene.settle()
    for _ in range(6):
        assert scene.target.readiness(SERVICE, revision, wait=1.0)[0] is Readiness.STARTING
    assert Ended.planned == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    monkeypatch.setattr(Ended, "changed", True)
    scene.target.readiness(SERVICE, revision, wait=1.0)
    assert Ended.planned[-1] == 1.0


def test_who_does_not_wait_watches_nothing(scene: Scene) -> None:
    revision = scene.target.deploy(PLAN, scene.image("v1", NEVER), 1)
    before = scene.cluster.calls[WATCHED]
    assert scene.target.readiness(SERVICE, revision)[0] is Readiness.STARTING
    assert scene.cluster.calls[WATCHED] == before


def test_a_watch_that_fails_is_the_next_looks_business(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = scene.target.deploy(PLAN, scene.image("v1", NEVER), 1)
    scene.settle()

    def away(*_: object, **__: object) -> None:
        raise UnavailableError("watch the revision", revision, "the API server is away")

    monkeypatch.setattr(Service, "until_revision", away)
    for _ in range(3):
        assert scene.target.readiness(SERVICE, revision, wait=5.0)[0] is Readiness.STARTING
