"""KServe, Knative, the API server, the registry, the network: away at any point of a promotion.

The points are those of :mod:`tests.cluster.courses`: after every change that the worker makes to
the cluster, and at the ends of its steps. A change then goes through the cluster as along a chain,
each link waiting for the one before it, and the worker sees its effect at the end. So at each point
the worker stands still, the whole chain is taken away, and comes back link by link, in that order:
for a while each link is the one that everything waits for, at each point. What the worker does next
meets the same: its patch waits for KServe's webhook, what becomes of it for Knative's, and so on.

Away is hanging, with every connection open, and at every other point, for those who answer others,
dead. How long is counted in requests of users, of whom not one may fail: the data plane (Envoy, the
activator, queue-proxies, pods) is the one neighbour that is never away here. KServe's webhooks and
its controller are one process.
"""

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from urllib.parse import urlsplit

import pytest

from pipeline.domain.promotion import Phase
from tests.cluster.conftest import own_namespace
from tests.cluster.courses import (
    COURSES,
    HOURS,
    MORTAL,
    QUICK,
    Left,
    Walk,
    stands_still,
    stopped_at_each_point,
    undisturbed,
)
from tests.cluster.lines import lines
from tests.cluster.obstacles import killed, stopped
from tests.cluster.promotions import PATIENCE, Neighbours, Promotions, promoting
from tests.cluster.recovery import all_act_again
from tests.cluster.stack.node import answers
from tests.cluster.stack.parts import Parts
from tests.cluster.stack.whole import Whole
from tests.cluster.traffic import Traffic
from tests.cluster.turns import turn
from tests.servers.laurel import SERVICE
from tests.servers.waiting import until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.usefixtures("alone"),
    pytest.mark.xdist_group("neighbours_of_the_cluster"),
]
COURSE = COURSES["to its end"]
RATE, BOTH = 20, 2
A_MOMENT, A_MINUTE = 3 * RATE // 2, 60 * RATE
"""Requests of users."""
Away = Callable[[Parts, str], AbstractContextManager[None]]
Link = AbstractContextManager[None]
Meanwhile = Callable[[Callable[[], None]], None]


@dataclass(frozen=True)
class Stage:
    """A service, the lines on which its worker reaches the cluster, and what it leaves in peace."""

    service: Promotions
    network: Parts
    expected: Left

    @property
    def parts(self) -> Parts:
        return self.service.cluster.parts

    @property
    def api(self) -> str:
        """Name the line to the API server."""
        return urlsplit(self.service.cluster.plane.url).netloc


@pytest.fixture(scope="module")
def stage(
    neighbours: Neighbours, cluster: Whole, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    """Lend a service that serves a version, and whose worker is started by each test."""
    folder, plane = tmp_path_factory.mktemp("neighbours"), cluster.plane
    with ExitStack() as stack:
        laid = stack.enter_context(lines(folder / "lines"))
        login = folder / "kubeconfig"
        login.write_text(plane.kubeconfig.read_text().replace(plane.url, laid.to(plane.url)))
        namespace = stack.enter_context(own_namespace(plane.api(), "neighbours"))
        service = stack.enter_context(
            promoting(
                *(neighbours, namespace, folder),
                kubeconfig=login,
                reached=laid.to,
                verb=None,
                canary=QUICK,
            )
        )
        with turn(cluster.place.folder, alone=False):
            service.laurel.start("worker")
            service.serve()
            service.laurel.kill()
            service.laurel.program = MORTAL
            with service.traffic(RATE) as seen:
                expected = undisturbed(service, COURSE, seen)
        assert expected.phase is Phase.SUCCEEDED
        yield Stage(service, laid.parts, expected)


@pytest.fixture(autouse=True)
def _all_are_back(stage: Stage) -> Iterator[None]:
    """Leave the cluster to the next test once everybody acts again, and no worker of this one."""
    yield
    if stage.service.laurel.process is not None:
        stage.service.laurel.kill()
    where = stage.service.services
    all_act_again(where.api)
    until(lambda: answers(f"http://{where.place.registry}/v2/"), "the registry")


def test_each_part_of_the_cluster_away_at_each_point_is_no_more_than_a_delay(stage: Stage) -> None:
    ways = cycle((stopped, killed))

    def chain() -> list[Link]:
        parts, away = stage.parts, next(ways)
        return [
            away(parts, "kserve"),
            away(parts, "webhook"),
            stopped(parts, "controller"),
            together(stopped(parts, "autoscaler"), away(parts, "registry")),
            stopped(parts, "kourier"),
        ]

    ends_as_undisturbed(stage, lambda seen: one_link_after_the_other(chain, seen))


def test_the_api_server_and_the_network_away_at_each_point_are_no_more_than_a_delay(
    stage: Stage,
) -> None:
    ways = cycle((stopped, killed))
    api, data = stage.api, [each for each in stage.network.names() if each != stage.api]

    def chain() -> list[Link]:
        away = next(ways)
        return [
            stopped(stage.parts, "apiserver"),
            away(stage.network, api),
            together(*(away(stage.network, each) for each in data)),
        ]

    ends_as_undisturbed(stage, lambda seen: one_link_after_the_other(chain, seen))


def test_the_api_server_then_kserve_and_knative_away_for_a_minute_of_a_canary(stage: Stage) -> None:
    service, parts = stage.service, stage.service.cluster.parts
    with service.traffic(RATE) as seen:
        walk = Walk(service, replace(COURSE, canary={**QUICK, "interval": "5s"}), seen)
        walk.laurel.start("worker")
        for percent, names in {20: ["apiserver"], 50: ["kserve", "controller"]}.items():
            until(partial(asks_for, service, percent), f"{percent} %", PATIENCE)
            seen.until(lambda: len(seen.versions()) == BOTH)
            with together(*(stopped(parts, name) for name in names)):
                seen.wait(A_MINUTE, patience=PATIENCE)
        assert walk.until(lambda: False, "the end")
        left = walk.left()
    assert left == stage.expected, walk.laurel.story()
    assert seen.failed() == []


def test_a_canary_that_fails_while_the_cluster_cannot_be_reached_goes_back_afterwards(
    stage: Stage,
) -> None:
    service, image = stage.service, stage.service.stable().image
    number = len(service.laurel.promotions()) + 1
    service.laurel.change(canary=HOURS)
    service.laurel.start("worker")
    with service.traffic(RATE) as seen:
        version = str(service.move(fails_every=2))
        seen.until(lambda: version in seen.versions(), PATIENCE)
        with killed(stage.network, stage.api):
            seen.wait(A_MOMENT)
        ended = service.ended(number)
        begin = seen.wait(A_MOMENT)
    service.laurel.kill()
    assert ended.phase is Phase.FAILED
    assert "requests failed" in ended.reason
    assert {each.version for each in seen.failed()} == {version}
    assert version not in seen.versions(begin)
    service.clean(image)


def test_a_registry_away_for_longer_than_a_pod_may_take_ends_the_promotion_and_says_so(
    stage: Stage,
) -> None:
    service, image = stage.service, stage.service.stable().image
    number = len(service.laurel.promotions()) + 1
    service.laurel.change(progress_deadline="5s")
    service.laurel.start("worker", point="stop@step_ended:attest_deployment")
    process = service.laurel.process
    assert process is not None
    with service.traffic(RATE) as seen:
        service.move()
        until(lambda: stands_still(process), "the worker stopping", PATIENCE, service.laurel.story)
        with killed(stage.parts, "registry"):
            process.send_signal(signal.SIGCONT)
            ended = service.ended(number)
            seen.wait(A_MOMENT)
    service.laurel.kill()
    service.laurel.change(progress_deadline="60s")
    assert ended.phase is Phase.FAILED
    assert re.search("new revision .* could not start: its image cannot be pulled", ended.reason)
    assert seen.failed() == []
    assert len(seen.versions()) == 1
    service.clean(image)


def asks_for(service: Promotions, percent: int) -> bool:
    """Tell whether the InferenceService asks for this percent."""
    now = service.services.read(SERVICE)["spec"]["predictor"]
    return bool(now.get("canaryTrafficPercent") == percent)


def ends_as_undisturbed(stage: Stage, disturb: Callable[[Traffic], Meanwhile]) -> None:
    with stage.service.traffic(RATE) as seen:
        walk = Walk(stage.service, COURSE, seen)
        stopped_at_each_point(walk, disturb(seen))
        left = walk.left()
    assert left == stage.expected, walk.laurel.story()
    assert walk.complete(), walk.reached()
    assert seen.failed() == []


def one_link_after_the_other(chain: Callable[[], Sequence[Link]], seen: Traffic) -> Meanwhile:
    """Take all links away, let the worker go on, and bring each back in its turn."""

    def taken(go_on: Callable[[], None]) -> None:
        with ExitStack() as everything:
            back = []
            for link in chain():
                back.append(everything.enter_context(ExitStack()))
                back[-1].enter_context(link)
            go_on()
            for each in back:
                seen.wait(A_MOMENT)
                each.close()

    return taken


@contextmanager
def together(*away: Link) -> Iterator[None]:
    """Have those away together that need not wait for one another."""
    with ExitStack() as stack:
        for each in away:
            stack.enter_context(each)
        yield
