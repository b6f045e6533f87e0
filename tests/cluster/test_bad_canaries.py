"""Whatever is wrong with a canary, users keep what served, and somebody reads why.

All of them are promoted to one service, one after the other, so that each also shows that the one
before left nothing behind.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3

from pipeline.domain.oci import IMAGE_MANIFEST
from pipeline.domain.promotion import Phase, Promotion
from tests.cluster.conftest import Model, own_namespace
from tests.cluster.obstacles import denied, quota
from tests.cluster.promotions import PATIENCE, PODS, Neighbours, Promotions, promoting
from tests.cluster.services import IMAGE, PERCENT
from tests.cluster.stack.api import Object
from tests.cluster.traffic import Traffic
from tests.cluster.verdicts import Verdict
from tests.servers.laurel import SERVICE
from tests.servers.registries import Registry
from tests.servers.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("bad_canaries")]
ENDLESS = {"steps": [25], "interval": "1h", "min_samples": 20, "look_every": "300ms"}
"""A canary that only evidence ends."""
ERRORED = Phase.ERRORED
QUICK = {**ENDLESS, "interval": "1s"}


@pytest.fixture(scope="module")
def service(
    neighbours: Neighbours, plain_registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Promotions]:
    """Lend a service that serves version 1."""
    folder = tmp_path_factory.mktemp("bad-canaries")
    with (
        own_namespace(neighbours.cluster.plane.api(), "bad-canaries") as namespace,
        promoting(
            neighbours, namespace, folder, plain_http=(plain_registry.host,), canary=ENDLESS
        ) as service,
    ):
        service.serve()
        yield service


@pytest.fixture
def users(service: Promotions) -> Iterator[Traffic]:
    """Have users meanwhile."""
    with service.traffic() as seen:
        seen.wait(20)
        yield seen


@pytest.mark.smoke
def test_one_that_crashes_at_its_start_takes_no_traffic(
    service: Promotions, users: Traffic
) -> None:
    says = ("exit code 3", "its last words: fatal: no feature store at features.internal")
    found = verdict(service, users, "crashes at its start", says, crashes_at=0)
    assert found.failed == found.seen == 0


@pytest.mark.smoke
def test_one_that_fails_a_tenth_of_requests_is_judged_by_them(
    service: Promotions, users: Traffic
) -> None:
    found = verdict(service, users, "answers 500 to a tenth", ("requests failed",), fails_every=10)
    assert found.failed


def test_one_that_a_quota_refuses_says_which(service: Promotions, users: Traffic) -> None:
    api, namespace = service.services.api, service.services.namespace
    quota(api, namespace, **{"requests.cpu": "1"})
    try:
        with changed(service, resources=needing("1000")):
            found = verdict(service, users, "is over a quota", ("exceeded quota: limit",))
    finally:
        api.delete(f"/api/v1/namespaces/{namespace}/resourcequotas/limit")
    assert found.failed == found.seen == 0


def test_one_that_never_gets_ready_takes_no_traffic(service: Promotions, users: Traffic) -> None:
    says = ("ProgressDeadlineExceeded", "its pod's last words: waiting for the feature store")
    with changed(service, progress_deadline="30s"):
        found = verdict(service, users, "never gets ready", says, never_ready=True)
    assert found.failed == found.seen == 0


def test_one_that_crashes_after_it_took_traffic_says_its_last_words(
    service: Promotions, users: Traffic
) -> None:
    says = ("its last words: fatal: the model's cache is corrupt", "requests failed")
    verdict(service, users, "crashes after 20 requests", says, crashes_at=20)


def test_one_that_eats_memory_says_by_which_limit_it_ended(
    service: Promotions, users: Traffic
) -> None:
    says = ("used more memory than its limit (OOMKilled)", "requests failed")
    verdict(service, users, "eats all memory after 20 requests", says, eats_at=20)


def test_one_that_hangs_alive_is_seen_although_every_condition_hides_it(
    service: Promotions, users: Traffic
) -> None:
    says = ("requests failed",)
    with changed(service, timeout="5s"):
        verdict(service, users, "hangs after 20 requests, alive and unready", says, hangs_at=20)


def test_one_that_lost_a_layer_in_the_registry_changes_nothing(
    service: Promotions, users: Traffic
) -> None:
    there = service.services.read(SERVICE)["spec"]
    version = service.model.add()
    made = json.loads(service.typed("build", f"{service.model.name}/{version}", "--json"))
    lose_a_layer(made["image"])
    says = ("layer sha256:", "is not in the registry", "--rebuild")
    found = verdict(service, users, "has lost a layer in the registry", says, version=version)
    assert service.services.read(SERVICE)["spec"] == there
    assert found.failed == found.seen == 0


def test_one_that_nodes_cannot_pull_says_what_they_said(
    service: Promotions, users: Traffic, plain_registry: Registry
) -> None:
    says = ("its image cannot be pulled", "connection refused")
    elsewhere = f"{plain_registry.host}/fraud"  # of this machine's loopback, which is not a node's
    with changed(service, repository=elsewhere, progress_deadline="30s"):
        found = verdict(service, users, "is in a registry that nodes do not reach", says)
    assert found.failed == found.seen == 0


def test_one_that_fits_on_no_node_says_what_the_scheduler_said(
    service: Promotions, users: Traffic
) -> None:
    says = ("no node can take its pod", "Insufficient cpu")
    with changed(service, resources=needing("1000")):
        found = verdict(service, users, "needs more than any node has", says)
    assert found.failed == found.seen == 0


@pytest.mark.parametrize("kind", ["InferenceService", "pod"])
def test_one_that_a_policy_refuses_says_the_policy_s_words(
    service: Promotions, users: Traffic, kind: str
) -> None:
    stable = f"'{service.stable().image}'"
    said, unless, operation = {
        "InferenceService": (
            ("serving.kserve.io", "v1beta1", "inferenceservices"),
            f"object.spec.predictor.containers[0].image == {stable}",
            "UPDATE",
        ),
        "pod": (("", "v1", "pods"), f"object.spec.containers[0].image == {stable}", "CREATE"),
    }[kind]
    words = "this image was not reviewed"
    at = service.services.namespace
    with denied(
        *(service.services.api, f"{at}-{kind.lower()}", said, words),
        namespace=at,
        unless=unless,
        operations=(operation,),
    ):
        found = verdict(service, users, f"is refused by a policy for {kind}s", (words,))
    assert found.failed == found.seen == 0


def test_one_whose_image_a_person_changes_is_ended_and_so_is_the_change(
    service: Promotions, users: Traffic, model: Model
) -> None:
    says = (f"the image of {SERVICE} was set to", "by hand")
    other = {"op": "replace", "path": IMAGE, "value": model("v9")}
    verdict(service, users, "meets a person who sets another image", says, other, ends=ERRORED)
    assert users.failed() == []


def test_one_whose_percent_a_person_changes_is_ended_and_so_is_the_change(
    service: Promotions, users: Traffic
) -> None:
    says = ("was set to 90 % by hand",)
    other = {"op": "replace", "path": PERCENT, "value": 90}
    verdict(service, users, "meets a person who sets another percent", says, other, ends=ERRORED)
    assert users.failed() == []


def test_one_that_is_overtaken_makes_way_for_the_next(service: Promotions, users: Traffic) -> None:
    number = len(service.laurel.promotions()) + 1
    service.move()
    service.event(number, "look", percent=25)
    with changed(service, canary=QUICK):
        after = service.serve()
    first = service.ended(number)
    begin = users.wait(100)
    assert first.phase is Phase.SUPERSEDED, service.laurel.story()
    assert users.failed() == []
    assert set(users.versions(begin)) == {str(after.model.version)}
    service.clean(after.image)
    row(service, users, "is overtaken by the next version", ("is newer",), first)


def test_one_that_takes_twice_as_long_is_judged_by_that(
    neighbours: Neighbours, tmp_path: Path
) -> None:
    says = ("of its", "requests took over 7500 ms")
    with (
        own_namespace(neighbours.cluster.plane.api(), "slow-canary") as namespace,
        promoting(neighbours, namespace, tmp_path, source="prometheus", canary=ENDLESS) as service,
    ):
        # a busy machine may add 0.8 s: from 2.5 to 5 s is one bucket, whose limit is then 7.5 s
        service.serve(seconds=4.2)
        with service.traffic(connections=40) as users:
            verdict(service, users, "takes twice as long", says, seconds=8.4)
            assert users.failed() == []


def test_no_pod_of_any_stays(service: Promotions) -> None:
    pods = f"/api/v1/namespaces/{service.services.namespace}/pods"
    serving = service.stable().name

    def others() -> list[str]:
        labels = [pod["metadata"]["labels"] for pod in service.services.api.items(pods)]
        return [one for each in labels if (one := each["serving.knative.dev/revision"]) != serving]

    until(lambda: not others(), "only what serves has pods", PATIENCE, lambda: str(others()))


def verdict(
    service: Promotions,
    users: Traffic,
    canary: str,
    says: tuple[str, ...],
    edit: Object | None = None,
    *,
    version: int | None = None,
    ends: Phase = Phase.FAILED,
    **manner: Any,  # noqa: ANN401 - LightModel's own fields
) -> Verdict:
    """Promote a version that is to end badly, and see that nothing of it stays.

    ``edit`` is what a person does to the InferenceService once it has traffic.
    """
    laurel, number = service.laurel, len(service.laurel.promotions()) + 1
    good = [each for each in laurel.promotions() if each.phase is Phase.SUCCEEDED][-1]
    service.clean(good.image)
    version = version or service.model.add(**manner)
    service.model.point(version)
    if edit is not None:
        service.event(number, "look", percent=25)
        users.until(lambda: users.versions()[str(version)], PATIENCE)
        assert service.services.patch(SERVICE, edit)[0] == 200
    ended = service.ended(number)
    begin = users.wait(100)
    assert ended.phase is ends, laurel.story()
    assert set(users.counts(begin)) == {(200, str(good.model.version))}
    service.clean(good.image)
    stable = service.stable()
    assert (stable.image, stable.percent) == (good.image, 100)
    assert laurel.state().canary is None
    return row(service, users, canary, says, ended)


def row(
    service: Promotions, users: Traffic, canary: str, says: tuple[str, ...], ended: Promotion
) -> Verdict:
    """Compare what was seen with the table in docs/kserve.md."""
    assert [each for each in says if each not in ended.reason] == [], ended.reason
    looks = service.laurel.ledger.events.of(ended.id, kind="look")
    judged = [each.data["metrics"].get("errors", {}) for each in looks]
    said = Verdict.of(canary, ended, users, [each["canary"]["requests"] for each in judged if each])
    said.documented(says)
    return said


@contextmanager
def changed(service: Promotions, **settings: object) -> Iterator[None]:
    """Have other settings for a while."""
    service.change(**settings)
    yield
    service.change(**{key: {**PODS, "canary": ENDLESS}.get(key) for key in settings})


def needing(cpu: str) -> dict[str, dict[str, str]]:
    """Write resources of a pod that needs so much."""
    return {kind: {**PODS["resources"][kind], "cpu": cpu} for kind in ("requests", "limits")}


def lose_a_layer(image: str) -> None:
    """Have a registry lose the topmost layer of an image, which is the model."""
    host, _, rest = image.partition("/")
    repository, _, digest = rest.partition("@")
    at = f"http://{host}/v2/{repository}"
    accepted = {"Accept": IMAGE_MANIFEST}
    manifest = urllib3.request("GET", f"{at}/manifests/{digest}", headers=accepted).json()
    gone = urllib3.request("DELETE", f"{at}/blobs/{manifest['layers'][-1]['digest']}")
    assert gone.status == 202, gone.data
