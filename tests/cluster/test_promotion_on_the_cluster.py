"""From an alias that moves in MLflow to all traffic on an InferenceService, users meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.adapters.gateway_metrics import GatewayMetrics
from pipeline.adapters.host_python import PYTHON
from pipeline.adapters.prometheus_metrics import PrometheusMetrics
from pipeline.domain.promotion import Kind, Phase
from tests.cluster.conftest import Model, own_namespace
from tests.cluster.obstacles import killed
from tests.cluster.promotions import PATIENCE, Neighbours, Promotions, promoting
from tests.cluster.services import predictor
from tests.cluster.shares import Share, shares
from tests.cluster.stack.api import Object
from tests.cluster.stack.whole import Whole
from tests.cluster.traffic import burst
from tests.servers.laurel import SERVICE
from tests.servers.mlflow import running_mlflow
from tests.servers.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("promotion_on_the_cluster")]
Start = Callable[..., Promotions]
THOUSANDS = {"steps": [25, 50], "interval": "2s", "min_samples": 700, "look_every": "500ms"}
HOURS = {"steps": [50], "interval": "1h", "min_samples": 5, "look_every": "300ms"}
"""A canary that does not end by itself."""
ASKED_BY_LAUREL = 5
"""Requests of Laurel's own that a revision may get: the model's example, before any traffic."""
REACHED = """
import socket, sys
for place in sys.argv[1:]:
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 3).close()
        print(place, "was reached")
    except OSError as error:
        print(place, "was not:", error)
"""


@pytest.fixture(scope="module")
def service(
    neighbours: Neighbours, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Promotions]:
    """Lend a service that serves a version."""
    folder = tmp_path_factory.mktemp("promotions")
    with (
        own_namespace(neighbours.cluster.plane.api(), "promotions") as namespace,
        promoting(neighbours, namespace, folder) as service,
    ):
        service.serve()
        yield service


@pytest.mark.smoke
def test_an_alias_that_moves_becomes_all_traffic_and_every_step_has_its_share(
    service: Promotions,
) -> None:
    service.change(canary=THOUSANDS)
    old = service.stable()
    asked_before = counted(service, old.name)
    with service.traffic(rate=100) as seen:
        done = service.serve()
        begin = seen.wait(200)
    new = service.stable()
    version = str(done.model.version)
    assert seen.failed() == []
    assert set(seen.versions(begin)) == {version}
    looks = service.laurel.ledger.events.of(done.id, kind="look")
    found = list(shares(looks, seen, version))
    assert [share.percent for share in found] == [25, 50]
    assert all(share.requests >= 1000 and share.plausible for share in found), found
    answered = seen.versions()
    for revision, before, by in (
        (new.name, (0, 0), answered[version]),
        (old.name, asked_before, answered.total() - answered[version]),
    ):
        wanted = by + before[0]
        queue_proxies, envoy = until(
            lambda: enough(counted(service, revision), wanted),  # noqa: B023 - at once
            f"{revision} was counted",
        )
        assert by <= queue_proxies - before[0] <= by + ASKED_BY_LAUREL
        assert envoy - before[1] >= by  # Knative's own probes of a route are in it too
    service.typed("verify", str(done.image))
    service.clean(done.image)


def test_a_share_that_is_not_the_one_asked_for_is_noticed() -> None:
    assert Share(25, 1000, 250).plausible
    assert Share(25, 1000, 320).plausible
    assert not Share(25, 1000, 340).plausible
    assert not Share(25, 1000, 0).plausible
    assert not Share(50, 0, 0).plausible


@pytest.mark.smoke
def test_an_alias_that_returns_to_what_serves_ends_the_canary_and_changes_nothing_else(
    service: Promotions,
) -> None:
    service.change(canary=HOURS)
    serving = service.laurel.promotions()[-1]
    with service.traffic() as seen:
        number = len(service.laurel.promotions()) + 1
        version = service.move()
        service.event(number, "look", percent=50)
        seen.until(lambda: seen.versions()[str(version)], PATIENCE)
        service.model.point(serving.model.version)
        assert service.ended(number).phase is Phase.SUPERSEDED, service.laurel.story()
        back = service.ended(number + 1)
        begin = seen.wait(100)
    assert back.phase is Phase.SUCCEEDED, service.laurel.story()
    assert back.reason == f"{SERVICE} already serves {serving.model}"
    assert seen.failed() == []
    assert set(seen.versions(begin)) == {str(serving.model.version)}
    service.clean(serving.image)


def test_laurel_rollback_gives_everything_to_pods_that_still_stand(promotions: Start) -> None:
    service = promotions(source="prometheus", rollback={"keep_warm": "5m"})
    with ExitStack() as users:
        first = service.serve()
        seen = users.enter_context(service.traffic())
        before = service.stable().name
        second = service.serve()
        (pod,) = service.services.pods(before)
        said = service.typed("rollback", SERVICE, "--reason", "a doubt", "--wait")
        begin = seen.wait(100)
        (warm,) = service.services.pods(before)
    back = service.laurel.promotions()[2]
    assert f"{SERVICE} serves {first.model}" in said
    assert (back.kind, back.phase, back.image) == (Kind.ROLLBACK, Phase.SUCCEEDED, first.image)
    assert second.image != first.image
    assert seen.failed() == []
    assert set(seen.versions(begin)) == {"1"}
    assert warm["metadata"]["uid"] == pod["metadata"]["uid"]
    service.clean(first.image)


def test_a_service_of_somebody_else_is_refused_with_its_diff_and_taken_over_when_allowed(
    promotions: Start, model: Model
) -> None:
    service = promotions()
    foreign = model("v0")
    old = service.services.start(SERVICE, foreign)
    there = service.services.read(SERVICE)["spec"]
    service.move()
    refused = service.ended(1)
    assert refused.phase is Phase.FAILED, service.laurel.story()
    assert "which Laurel did not put there" in refused.reason
    shown = service.event(1, "step_ended", name="check").data["evidence"]["diff"]
    assert any(line.startswith("-") and foreign in line for line in shown), shown
    assert service.services.read(SERVICE)["spec"] == there
    service.change(adopt=True)
    with service.traffic(path="/v2/models/fraud/infer") as seen:
        before = seen.wait(50)
        taken = service.serve()
        begin = seen.wait(100)
    assert set(seen.versions(before)) == {"v0", "2"}
    assert set(seen.versions(begin)) == {"2"}
    assert seen.failed() == []
    assert predictor(service.services.read(SERVICE))["latestRolledoutRevision"] != old
    service.clean(taken.image)


@pytest.mark.smoke
@pytest.mark.usefixtures("alone")
def test_what_serves_needs_neither_mlflow_nor_laurel_nor_the_registry(
    cluster: Whole, neighbours: Neighbours, namespace: str, tmp_path: Path
) -> None:
    (tmp_path / "mlflow").mkdir()
    with ExitStack() as stack, running_mlflow(tmp_path / "mlflow") as mlflow:
        between = replace(neighbours, mlflow=mlflow)
        service = stack.enter_context(promoting(between, namespace, tmp_path))
        service.serve()
        service.laurel.kill()
        laurel = stack.pop_all()
    with laurel, killed(cluster.parts, "registry"):
        revision = service.stable().name
        (pod,) = service.services.pods(revision)
        name = pod["metadata"]["name"]
        service.services.api.delete(f"/api/v1/namespaces/{namespace}/pods/{name}")
        fresh = until(lambda: ready_pod(service, revision, but=name), "a fresh pod", PATIENCE)
        seen = burst(service.target(), 200)
        reached = inside(
            service, fresh, REACHED, cluster.place.registry, "192.0.2.1:443", mlflow.url[7:]
        )
    assert seen.failed() == []
    assert seen.versions() == {"1": 200}
    assert reached.count("was not:") == 3, reached


def counted(service: Promotions, revision: str) -> tuple[int, int]:
    """Say what a revision's queue-proxies and Envoy have counted."""
    namespace, place = service.services.namespace, service.cluster.place
    with (
        closing(PrometheusMetrics(place.prometheus, namespace=namespace)) as queue_proxies,
        closing(GatewayMetrics([place.statistics], namespace=namespace)) as envoy,
    ):
        seen = [each.read(SERVICE, [revision]) for each in (queue_proxies, envoy)]
    totals = [each.get(revision, {}).values() for each in seen]
    first, second = (sum(one.completed for one in each) for each in totals)
    return first, second


def enough(found: tuple[int, int], wanted: int) -> tuple[int, int] | None:
    return found if min(found) >= wanted else None


def ready_pod(service: Promotions, revision: str, *, but: str) -> Object | None:
    for pod in service.services.pods(revision):
        conditions = pod.get("status", {}).get("conditions", ())
        is_ready = any((one["type"], one["status"]) == ("Ready", "True") for one in conditions)
        if is_ready and pod["metadata"]["name"] != but:
            return pod
    return None


def inside(service: Promotions, pod: Object, program: str, *arguments: str) -> str:
    """Run a program in a pod's own container."""
    where = (f"--namespace={service.services.namespace}", pod["metadata"]["name"])
    plane = service.cluster.plane
    own = ("--container=kserve-container", "--", PYTHON, "-c", program)
    return plane.kubectl("exec", *where, *own, *arguments)
