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


class Quiet:
    """A watch without a change, in a time of its own; ``planned`` is how long each was to last."""

    planned: list[float]
    changed = False
    now = 0.0

    def __init__(self, service: Service, found: Revision, need: int, seconds: float) -> None:
        del service, found, need
        self.planned.append(seconds)
        self.end = Quiet.now + seconds

    def over(self, wait: float) -> bool:
        Quiet.now = min(self.end, Quiet.now + wait)
        return self.end <= Quiet.now

    @classmethod
    def monotonic(cls) -> float:
        return cls.now


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
    assert scene.target.readiness(SERVICE, revision, wait=30.0) == (Readiness.READY, "")


def test_the_longer_nothing_changes_the_more_rarely_everything_is_looked_at(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Quiet, "planned", [], raising=False)
    monkeypatch.setattr(starting, "_Watch", Quiet)
    monkeypatch.setattr(starting, "time", Quiet)
    revision = scene.target.deploy(PLAN, scene.image("v1", NEVER), 1)
    scene.settle()
    for _ in range(40):
        assert scene.target.readiness(SERVICE, revision, wait=1.0)[0] is Readiness.STARTING
    assert Quiet.planned == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    assert scene.target.readiness(SERVICE, revision, wait=10.0)[0] is Readiness.STARTING
    monkeypatch.setattr(Quiet, "changed", True)
    scene.target.readiness(SERVICE, revision, wait=5.5)
    assert Quiet.planned[7:] == [10.0, 1.0]


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
    monkeypatch.setattr(starting, "FIRST_LOOK", 0.1)
    before = scene.cluster.calls.copy()
    assert scene.target.readiness(SERVICE, revision, wait=0.4)[0] is Readiness.STARTING
    assert (scene.cluster.calls - before).total() <= 9  # three looks: it does not ask in a rush
