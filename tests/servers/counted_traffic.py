"""Two revisions that are sent requests, and what counts them: a scene for every source."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.adapters.gateway_metrics import GatewayMetrics
from pipeline.adapters.prometheus_metrics import PrometheusMetrics
from pipeline.domain.plan import Plan
from pipeline.domain.serving import Readiness
from pipeline.errors import UnavailableError
from pipeline.ports import Metrics
from tests.fakes.local_machine import LocalMachine, eventually, kill
from tests.fakes.served_image import ImageMaker
from tests.servers.gateway import Gateway, Mesh, running_gateway
from tests.servers.prometheus import Prometheus
from tests.servers.queue_proxies import Counting, Knative, addressed, answering
from tests.servers.waiting import until

STABLE, CANARY = "fraud-00001", "fraud-000010"
"""One name begins with the other."""

MODEL = """
import time

def invoke(body):
    if body == b"slow":
        time.sleep(0.15)
    if body == b"drop":
        os._exit(1)
    return (500 if body == b"fail" else 200), body
"""


class Scene(Protocol):
    """Requests that can be sent, and the source that counts them."""

    @property
    def metrics(self) -> Metrics:
        """Return the source."""

    def request(self, body: bytes = b"ok") -> int:
        """Send stable a request: ``ok``, ``fail``, ``slow`` or ``drop``; its status."""

    def unreachable(self) -> None:
        """Let stable's server refuse connections."""

    def silence(self) -> None:
        """End whoever is asked for counters."""

    def restart(self) -> None:
        """End what counts, and start it again: it counts from nothing."""


@dataclass
class Local:
    """``serving: local``: Laurel's own Envoy in front of sandboxes."""

    machine: LocalMachine

    @property
    def metrics(self) -> Metrics:
        return self.machine.metrics

    def request(self, body: bytes = b"ok") -> int:
        return self.machine.request(body)[0]

    def unreachable(self) -> None:
        kill(self.machine.server(STABLE))

    def silence(self) -> None:
        envoy = self.machine.front.process()
        assert envoy is not None
        kill(envoy)

    def restart(self) -> None:
        self.silence()
        self.machine.supervisor.reconcile()


@dataclass
class AtGateway:
    """A cluster's gateway: Envoy, asked for its statistics over TCP."""

    gateway: Gateway
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = GatewayMetrics([self.gateway.url], namespace=self.gateway.namespace)

    def request(self, body: bytes = b"ok") -> int:
        return self.gateway.request(STABLE, body)

    def unreachable(self) -> None:
        self.gateway.kill()
        self.gateway.away(STABLE)
        self.gateway.start()

    def silence(self) -> None:
        self.gateway.kill()

    def restart(self) -> None:
        self.gateway.kill()
        self.gateway.start()


@dataclass
class Scraped:
    """Queue-proxies that a Prometheus scrapes."""

    prometheus: Prometheus
    stable: Counting
    model_is_away: bool = False
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        self.metrics = PrometheusMetrics(self.prometheus.url, namespace=self.stable.namespace)

    def request(self, body: bytes = b"ok") -> int:
        if self.model_is_away:
            return self.stable.answer(502)
        seconds = 0.15 if body == b"slow" else 0.003
        return self.stable.answer({b"fail": 500, b"drop": 502}.get(body, 200), seconds=seconds)

    def unreachable(self) -> None:
        self.model_is_away = True

    def silence(self) -> None:
        self.prometheus.kill()

    def restart(self) -> None:
        self.stable.restart()


@contextmanager
def local_scene(images: ImageMaker, folder: Path) -> Iterator[Scene]:
    """Serve a model on this machine."""
    with LocalMachine(folder, images) as machine:
        revision = machine.serving.deploy(Plan("fraud", "fraud"), images.serve(MODEL), 1)
        eventually(lambda: machine.serving.readiness("fraud", revision)[0] is Readiness.READY)
        machine.serving.complete("fraud", revision, 1)
        yield Local(machine)


@contextmanager
def gateway_scene(folder: Path, mesh: Mesh) -> Iterator[Scene]:
    """Run a gateway in front of two models."""
    with running_gateway(folder, STABLE, CANARY, mesh=mesh) as gateway:
        yield AtGateway(gateway)


@dataclass
class Pair:
    """Two pods that have counted nothing yet, and where they will answer."""

    stable: Counting
    places: list[tuple[Counting, socket.socket]] = field(default_factory=list)


class Cluster:
    """One Prometheus, and many pairs of pods that it scrapes: each namespace serves one test.

    Prometheus takes up to 10 s to see a new target, so it knows all of them from the start; but
    pods answer only while their test runs. Were hundreds of scrapes a second answered all the time,
    they would cost a fifth of a processor, and time out one and all where others compute.
    """

    def __init__(self, prometheus: Prometheus, pairs: dict[Knative, list[Pair]]) -> None:
        self._prometheus = prometheus
        self._pairs = pairs

    @contextmanager
    def scene(self, knative: Knative) -> Iterator[Scene]:
        """Lend two pods that have counted nothing yet."""
        self._prometheus.ensure()
        pair = self._pairs[knative].pop()
        scene = Scraped(self._prometheus, pair.stable)
        with ExitStack() as running:
            for counting, listener in pair.places:
                running.enter_context(answering(counting, listener))
            until(lambda: not unread(scene), "the first scrape", say=lambda: unread(scene))
            yield scene


@contextmanager
def scraped_cluster(folder: Path, *, tests: int) -> Iterator[Cluster]:
    """Start everything for so many tests with each age of Knative."""
    pairs: dict[Knative, list[Pair]] = {knative: [] for knative in Knative}
    with ExitStack() as running:
        prometheus = Prometheus(folder)
        for knative in Knative:
            for number in range(tests):
                namespace = f"{knative.name.lower().replace('_', '-')}-{number}"
                stable, canary = (
                    Counting(f"{name}-deployment-575687bc8-h4s92", namespace, name, knative)
                    for name in (STABLE, CANARY)
                )
                pair = Pair(stable)
                for counting in (stable, canary):
                    listener = running.enter_context(addressed(counting))
                    pair.places.append((counting, listener))
                    prometheus.scrape(
                        counting.address,
                        namespace=namespace,
                        pod=counting.name,
                        instance=f"10.0.{number}.{len(counting.revision)}:9091",
                    )
                pairs[knative].append(pair)
        running.callback(prometheus.kill)
        prometheus.start()
        yield Cluster(prometheus, pairs)


def unread(scene: Scene) -> str:
    """Say why the source has nothing to tell; nothing where it has."""
    try:
        scene.metrics.read("fraud", [STABLE, CANARY])
    except UnavailableError as error:
        return str(error)
    return ""
