"""The door to Kubernetes leads to a real API server as it leads to the fake one."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ForbiddenError, RejectedError, UnavailableError
from pipeline.kserve.cluster import Cluster, connect
from pipeline.kserve.resources import INFERENCE_SERVICES
from tests.cluster.obstacles import denied, killed
from tests.cluster.people import person
from tests.cluster.stack.control_plane import ControlPlane
from tests.cluster.stack.parts import Parts
from tests.contract.door_scenarios import SCENARIOS, Json, percent, service
from tests.servers.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("control_plane")]


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    name = f"door-{os.urandom(3).hex()}"
    control_plane.api().create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture
def door(control_plane: ControlPlane, namespace: str) -> Cluster:
    return connect(kubeconfig=control_plane.kubeconfig, context=None, namespace=namespace)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_door_leads_to_a_real_api_server(
    scenario: Callable[[Cluster], None], door: Cluster
) -> None:
    scenario(door)


def test_a_namespace_that_was_never_made_is_not_there(control_plane: ControlPlane) -> None:
    nowhere = connect(kubeconfig=control_plane.kubeconfig, context=None, namespace="nowhere")
    assert not nowhere.exists()


def test_a_right_that_a_role_does_not_give_is_named(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    rules = [
        {
            "apiGroups": ["serving.kserve.io"],
            "resources": ["inferenceservices"],
            "verbs": ["get", "list", "watch", "create"],
        }
    ]
    someone = person(control_plane, namespace, "somebody", rules, tmp_path)
    cluster = connect(kubeconfig=someone.kubeconfig, context=None, namespace=namespace)
    cluster.create(INFERENCE_SERVICES, service("fraud"))
    assert cluster.may("get", INFERENCE_SERVICES)
    assert not cluster.may("patch", INFERENCE_SERVICES, subresource="status")
    with pytest.raises(ForbiddenError, match='cannot patch resource "inferenceservices"'):
        cluster.patch(INFERENCE_SERVICES, "fraud", percent(10))
    with pytest.raises(ForbiddenError, match="cannot get"):
        cluster.exists()


def test_a_policy_that_says_no_is_no_conflict(control_plane: ControlPlane, door: Cluster) -> None:
    door.create(INFERENCE_SERVICES, service("fraud"))
    kind = (INFERENCE_SERVICES.group, INFERENCE_SERVICES.version, INFERENCE_SERVICES.plural)
    api, name = control_plane.api(), f"no-changes-{door.namespace}"
    with (
        denied(
            api,
            name,
            kind,
            "image is not signed",
            namespace=door.namespace,
            operations=["UPDATE"],
        ),
        pytest.raises(RejectedError, match="image is not signed"),
    ):
        door.patch(INFERENCE_SERVICES, "fraud", percent(10))


def test_a_login_that_is_not_accepted_is_told(
    control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    someone = person(control_plane, namespace, "somebody", [], tmp_path)
    said = someone.kubeconfig.read_text()
    spoilt = tmp_path / "spoilt"
    spoilt.write_text(said.replace("eyJ", "eyX"))
    cluster = connect(kubeconfig=spoilt, context=None, namespace=namespace)
    with pytest.raises(ForbiddenError, match="renew the login"):
        cluster.list(INFERENCE_SERVICES)


def test_a_watch_goes_on_after_a_restart_of_the_api_server(
    control_plane: ControlPlane, door: Cluster
) -> None:
    door.create(INFERENCE_SERVICES, service("fraud"))
    events = door.watch(INFERENCE_SERVICES, "fraud", seconds=120)
    assert next(events) is not None
    door.patch(INFERENCE_SERVICES, "fraud", percent(10))
    assert _percent(next(events)) == 10  # its connection is open now
    with killed(Parts(control_plane.folder), "apiserver"), pytest.raises(UnavailableError):
        door.get(INFERENCE_SERVICES, "fraud")
    _patiently(lambda: door.patch(INFERENCE_SERVICES, "fraud", percent(20)))
    assert _percent(next(events)) == 20


def _percent(found: Json | None) -> int:
    assert found is not None
    return int(found["spec"]["predictor"]["canaryTrafficPercent"])


def _patiently(do: Callable[[], object]) -> None:
    def done() -> bool:
        try:
            do()
        except UnavailableError:
            return False
        return True

    until(done, "the API server answers", 60)
    do()
