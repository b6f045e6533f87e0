"""Why a revision cannot take traffic, where its pods have more to say than Knative."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.domain.serving import Readiness
from pipeline.errors import NotFoundError, UnavailableError
from pipeline.kserve.resources import PODS
from tests.fakes.kserve_controllers import Behaviour
from tests.fakes.kserve_scene import PLAN, SERVICE, Scene, kserve_scene
from tests.fakes.kubernetes_status import EVENT, Json


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with kserve_scene(tmp_path, monkeypatch) as scene:
        yield scene


def silent(scene: Scene) -> str:
    """Start a revision that crashes and leaves no message, but a log."""
    kind = Behaviour(crash_after=1.0, ready_after=None, output="Traceback: no model\n")
    revision = scene.target.deploy(PLAN, scene.image("v1", kind), 1)
    scene.fake.advance(5)
    listed = scene.cluster.list

    def without_messages(*args: object, **how: str) -> list[Json]:
        found = listed(*args, **how)  # type: ignore[arg-type]  # passed on
        for pod in found:
            for one in pod.get("status", {}).get("containerStatuses", ()):
                for state in (one.get("state", {}), one.get("lastState", {})):
                    state.get("terminated", {}).pop("message", None)
        return found

    scene.cluster.list = without_messages  # type: ignore[method-assign, assignment]  # its door
    return revision


def test_the_log_of_a_container_that_ended_without_a_word_is_read(scene: Scene) -> None:
    revision = silent(scene)
    told, why = scene.target.readiness(SERVICE, revision)
    assert told is Readiness.FAILED
    assert "its last words: Traceback: no model" in why


def test_a_log_that_cannot_be_read_holds_nothing_up(scene: Scene) -> None:
    revision = silent(scene)

    def away(*_: object, **__: object) -> str:
        raise UnavailableError("read the log", "pod", "the node is away")

    scene.cluster.logs = away  # type: ignore[method-assign]  # its door
    told, why = scene.target.readiness(SERVICE, revision)
    assert told is Readiness.FAILED
    assert why.endswith("its last words: none")


@pytest.mark.parametrize("coming", [True, False])
def test_a_pod_that_fits_nowhere_is_waited_for_only_where_a_node_comes(
    scene: Scene, *, coming: bool
) -> None:
    kind = Behaviour(unschedulable="0/1 nodes: Insufficient cpu")
    revision = scene.target.deploy(PLAN, scene.image("v1", kind), 1)
    scene.settle()
    (pod,) = scene.cluster.list(PODS, labels=f"serving.knative.dev/revision={revision}")
    if coming:
        name = pod["metadata"]["name"]
        event = {
            "metadata": {"name": "scale-up", "namespace": scene.fake.namespace},
            "involvedObject": {"name": name},
            "reason": "TriggeredScaleUp",
        }
        scene.fake.store.create(EVENT, event)
    told, why = scene.target.readiness(SERVICE, revision)
    assert "Insufficient cpu" in why
    assert why.endswith("(a node is being added)") is coming
    assert (told is Readiness.STARTING) is coming


def test_a_revision_that_nobody_means_is_not_there(scene: Scene) -> None:
    scene.history("v1", "v2", "v3")
    with pytest.raises(NotFoundError, match="fraud-predictor-00001"):
        scene.target.readiness(SERVICE, "fraud-predictor-00001")


def test_a_refusal_that_only_froze_the_spec_is_told_of_what_did_not_start(scene: Scene) -> None:
    kind = Behaviour(ready_after=None)
    revision = scene.target.deploy(PLAN, scene.image("v1", kind), 1)
    port = "/spec/predictor/containers/0/ports/0/containerPort"
    scene.edit({"op": "replace", "path": port, "value": 9090})
    scene.settle()
    told, why = scene.target.readiness(SERVICE, revision)
    assert told is Readiness.FAILED
    assert "9090" in why
