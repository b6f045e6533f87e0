"""``kill -9`` of the worker, and restarts of the API server, at every step: as if undisturbed.

One promotion of each course is disturbed after every change that it makes to the cluster, and at
the ends of its steps. Users send requests all the while.
"""

from collections.abc import Callable, Iterator
from http import HTTPStatus

import pytest

from pipeline.domain.promotion import Phase
from pipeline.kserve.resources import INFERENCE_SERVICES, REVISIONS
from tests.cluster.conftest import own_namespace
from tests.cluster.courses import (
    COURSES,
    MORTAL,
    QUICK,
    Course,
    Left,
    Walk,
    killed_at_each_point,
    stopped_at_each_point,
    undisturbed,
)
from tests.cluster.promotions import Neighbours, Promotions, promoting
from tests.cluster.recovery import all_act_again
from tests.cluster.stack.parts import Parts
from tests.cluster.stack.whole import Whole
from tests.cluster.turns import turn

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("killed_on_the_cluster")]
CORE = "to its end"
ENDS = {"aborted half way": Phase.ABORTED}


@pytest.fixture(scope="module")
def service(
    neighbours: Neighbours, cluster: Whole, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Promotions]:
    """Lend a service that serves version 1, and whose worker is started by each test."""
    folder = tmp_path_factory.mktemp("killed")
    warm = {"keep_warm": "10m"}
    with (
        own_namespace(cluster.plane.api(), "killed") as namespace,
        promoting(neighbours, namespace, folder, verb=None, canary=QUICK, rollback=warm) as service,
    ):
        with turn(cluster.place.folder, alone=False):
            service.laurel.start("worker")
            service.serve()
            service.laurel.kill()
        service.laurel.program = MORTAL
        yield service


@pytest.fixture(scope="module")
def as_if(service: Promotions) -> Callable[[str], Left]:
    """Say what each course leaves when nobody disturbs it."""
    found: dict[str, Left] = {}

    def left(name: str) -> Left:
        if name not in found:
            with service.traffic(rate=20) as seen:
                found[name] = undisturbed(service, COURSES[name], seen)
        return found[name]

    return left


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=[pytest.mark.smoke] * (each == CORE)) for each in COURSES],
)
def test_a_worker_killed_after_every_change_leaves_what_an_undisturbed_one_does(
    name: str, service: Promotions, as_if: Callable[[str], Left]
) -> None:
    ends_as_undisturbed(name, service, as_if, killed_at_each_point)


def test_an_api_server_restarted_after_every_change_is_no_more_than_a_delay(
    service: Promotions, as_if: Callable[[str], Left], parts: Parts, alone: None
) -> None:
    del alone

    def restarted(go_on: Callable[[], None]) -> None:
        parts.kill("apiserver")
        go_on()
        parts.start_again("apiserver")
        parts.wait("API server", lambda: answers(service), "apiserver")

    try:
        ends_as_undisturbed(
            CORE, service, as_if, lambda walk: stopped_at_each_point(walk, restarted)
        )
    finally:
        all_act_again(service.services.api)


def answers(service: Promotions) -> bool:
    """Tell whether the API server is there, and has read its custom resources."""
    api, namespace = service.services.api, service.services.namespace
    kinds = (INFERENCE_SERVICES, REVISIONS)
    lists = (f"{kind.api}/namespaces/{namespace}/{kind.plural}?limit=1" for kind in kinds)
    return all(api.call("GET", path)[0] == HTTPStatus.OK for path in ("/readyz", *lists))


def ends_as_undisturbed(
    name: str,
    service: Promotions,
    as_if: Callable[[str], Left],
    disturb: Callable[[Walk], None],
) -> None:
    course: Course = COURSES[name]
    expected = as_if(name)
    with service.traffic(rate=20) as seen:
        walk = Walk(service, course, seen)
        disturb(walk)
        left = walk.left()
    assert expected.phase is ENDS.get(name, Phase.SUCCEEDED)
    assert left == expected, service.laurel.story()
    assert walk.complete(), walk.reached()
    assert seen.failed() == []
