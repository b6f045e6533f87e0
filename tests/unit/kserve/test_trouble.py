"""What a revision says of itself when it is sent back, also one whose pods run again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.domain.serving import Readiness
from pipeline.kserve import shifting
from tests.fakes.kserve_controllers import Behaviour
from tests.fakes.kserve_scene import PLAN, SERVICE, Scene, image, kserve_scene
from tests.fakes.kubernetes_status import Json


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with kserve_scene(tmp_path, monkeypatch) as scene:
        yield scene


def test_a_canary_that_only_served_is_in_no_trouble(scene: Scene) -> None:
    scene.history("v1")
    assert scene.target.trouble(SERVICE, scene.canary("v2", 2, percent=30)) == ""


def test_a_canary_that_crashed_once_tells_of_it_when_it_runs_again(scene: Scene) -> None:
    scene.history("v1")
    revision = scene.canary("v2", 2, percent=30)
    scene.fake.crash(revision)
    scene.fake.advance(30)
    assert scene.target.readiness(SERVICE, revision)[0] is Readiness.READY
    said = scene.target.trouble(SERVICE, revision)
    assert said == "its container ended with exit code 3; its last words: the model ends"


def test_a_canary_that_crashed_tells_of_it_when_it_has_no_traffic_any_more(scene: Scene) -> None:
    scene.history("v1")
    revision = scene.canary("v2", 2, percent=30)
    scene.fake.crash(revision)
    scene.settle()
    scene.target.shift(SERVICE, revision, 0, 2)
    assert "exit code 3" in scene.target.trouble(SERVICE, revision)


def test_a_canary_that_lives_and_takes_no_requests_is_in_trouble(scene: Scene) -> None:
    scene.history("v1")
    revision = scene.canary("v2", 2, percent=30)
    scene.fake.unready(revision)
    scene.settle()
    assert scene.target.trouble(SERVICE, revision) == "0 of 1 pods are ready"


def test_a_revision_given_up_whose_pod_runs_tells_what_that_wrote(scene: Scene) -> None:
    scene.history("v1")
    never = scene.image("v2", Behaviour(ready_after=None))
    revision = scene.target.deploy(PLAN, never, 2)
    scene.fake.advance(30)
    told, why = scene.target.readiness(SERVICE, revision)
    assert told is Readiness.FAILED
    assert why.startswith("ProgressDeadlineExceeded: ")
    assert why.endswith("; its pod's last words: v2 is up")


def test_a_canary_that_falls_over_with_its_first_requests_is_not_waited_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shifting, "SEEN_WITHIN", 20.0)
    scene.history("v1")
    revision = scene.canary("v2", 2)
    patch = scene.cluster.patch

    def first_requests(*args: Any, **how: Any) -> Json:  # noqa: ANN401 - as patch() takes them
        scene.fake.behaviours[str(image("v2").ref.digest)] = Behaviour("v2", crash_after=0.0)
        done = patch(*args, **how)
        for _ in range(3):
            scene.fake.crash(revision)
            scene.settle()
        return done

    monkeypatch.setattr(scene.cluster, "patch", first_requests)
    scene.target.shift(SERVICE, revision, 30, 2)
    assert scene.now().shares()[revision] == 30
    assert not scene.now().routed
    assert "exit code 3" in scene.target.trouble(SERVICE, revision)
