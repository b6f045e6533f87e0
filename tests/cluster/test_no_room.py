"""Without room for one more pod the way back goes on until there is room; stable serves meanwhile.

The room is the test's own: an admission policy for its namespace, or a resource of the node's that
nobody else asks for. What decides each step: tests/unit/kserve/test_no_room.py.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.adapters.kserve_serving import KServeServing
from pipeline.domain.serving import Readiness
from pipeline.errors import UnavailableError
from pipeline.kserve import restoring
from pipeline.kserve.asking import Gateway
from pipeline.kserve.cluster import connect
from pipeline.kserve.resources import REVISIONS
from pipeline.kserve.revisions import Revision
from tests.cluster.grounds import Ground
from tests.cluster.models import Model
from tests.cluster.obstacles import denied, quota
from tests.cluster.services import Services
from tests.cluster.stack.api import Api
from tests.cluster.stack.whole import Whole
from tests.cluster.traffic import steady
from tests.servers.waiting import until

pytestmark = pytest.mark.cluster
_PATIENCE = 120.0


@pytest.fixture
def ground(
    cluster: Whole,
    services: Services,
    model: Model,
    kubeconfig: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Ground]:
    monkeypatch.setattr(restoring, "RESTORED_WITHIN", 8.0)
    door = connect(kubeconfig=kubeconfig, context=None, namespace=services.namespace)
    with closing(Gateway(cluster.place.gateway)) as gateway:
        ground = Ground("fraud", services, model, door, KServeServing(door, gateway))
        ground.pods = replace(ground.pods, progress_deadline=10)
        yield ground


def test_the_way_back_goes_on_until_there_is_room(ground: Ground) -> None:
    """Nobody may start a pod, so that Knative gives up the canary, and stable's fresh revision."""
    ground.history("v1", "v2")
    with only(ground, "v2"):
        with no_pods(ground):
            canary = ground.begin(ground.image("v3"))
            told, why = ground.judged(canary)
            assert (told, "no room for this pod" in why) == (Readiness.FAILED, True), why
            refused(ground, "no room for this pod")
            fresh = ground.now().created
            assert fresh != canary
            until(lambda: revision(ground, fresh).given_up, "it is given up", _PATIENCE)
            refused(ground, "no room for this pod")
            assert ground.now().created != fresh  # another one, or none would ever come
        restored(ground)


def test_a_canary_in_the_only_free_place_has_no_traffic_while_stable_waits_for_one(
    ground: Ground,
) -> None:
    place = f"laurel.test/{ground.services.namespace}"
    ground.pods = replace(
        ground.pods,
        requests={**ground.pods.requests, place: "1"},
        limits={**ground.pods.limits, place: "1"},
    )
    with places(ground.services.api, place, 2):
        ground.history("v1")
        canary = ground.canary(ground.image("v2"), 30)
        refused(ground, f"Insufficient {place}")
        with only(ground, "v1"):
            refused(ground, f"Insufficient {place}")
            assert revision(ground, canary).replicas == 1
            offer(ground.services.api, place, 3)
            restored(ground)


def test_a_full_quota_keeps_no_canary_in_traffic_nor_its_pod_in_the_way(ground: Ground) -> None:
    """KServe can change nothing then, not even a percent; so Laurel tells Knative itself."""
    ground.history("v1")
    canary = ground.canary(ground.image("v2"), 30)
    api, namespace = ground.services.api, ground.services.namespace
    quota(api, namespace, pods="2")
    limit = f"/api/v1/namespaces/{namespace}/resourcequotas/limit"
    until(lambda: (api.get(limit) or {}).get("status", {}).get("used"), "it counts", _PATIENCE)
    refused(ground, "exceeded quota: limit")
    with only(ground, "v1"):
        stable = ground.now().digest

        def in_its_place() -> bool:
            with suppress(UnavailableError):  # by then because its pod is not ready yet
                ground.restore()
            newest = max(ground.revisions())
            return newest > canary and revision(ground, newest).warm(1)

        until(in_its_place, "a fresh revision of stable has the canary's place", 2 * _PATIENCE)
        assert ground.revisions()[max(ground.revisions())] == stable
        api.delete(limit)
        restored(ground)


def refused(ground: Ground, words: str) -> None:
    """See that it is tried, and why it does not succeed."""
    with pytest.raises(UnavailableError, match="give stable everything back") as caught:
        ground.restore()
    assert words in str(caught.value)
    assert ground.now().image == ground.now().digest  # it is asked for all the while


def restored(ground: Ground) -> None:
    """Try again and again, as whoever promotes does."""

    def back() -> bool:
        try:
            ground.restore()
        except UnavailableError:
            return False
        return True

    until(back, "there is room", _PATIENCE)
    now = ground.now()
    assert now.clean
    assert now.settled
    assert now.serves_alone(now.created)


def revision(ground: Ground, name: str) -> Revision:
    found = ground.cluster.get(REVISIONS, name)
    assert found is not None
    return Revision.parse(found)


@contextmanager
def only(ground: Ground, version: str) -> Iterator[None]:
    """Have users meanwhile, and see that this version answered every one of them."""
    with steady(ground.users(), 20, 4) as seen:
        seen.wait(20)
        yield
        seen.wait(20)
    assert set(seen.counts()) == {(200, version)}


def no_pods(ground: Ground) -> AbstractContextManager[None]:
    """Refuse every pod, but not to try one out: so that Knative makes a revision of it."""
    at = ground.services.namespace
    words = "no room for this pod"
    kind = ("", "v1", "pods")
    return denied(
        ground.services.api, f"no-room-{at}", kind, words, namespace=at, unless="request.dryRun"
    )


@contextmanager
def places(api: Api, resource: str, number: int) -> Iterator[None]:
    """Have the node offer so many of a resource, and none of it afterwards."""
    offer(api, resource, number)
    try:
        yield
    finally:
        offer(api, resource, None)


def offer(api: Api, resource: str, number: int | None) -> None:
    (node,) = api.items("/api/v1/nodes")
    offered = {resource: None if number is None else str(number)}
    status = {"capacity": offered, "allocatable": offered}
    api.merge(f"/api/v1/nodes/{node['metadata']['name']}/status", {"status": status})
