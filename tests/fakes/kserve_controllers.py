"""A cluster without machines: an API server with KServe's, Knative's and a gateway's semantics.

::

    with FakeCluster(tmp_path) as fake:
        cluster = fake.connect()                  # pipeline.kserve.cluster.Cluster
        fake.behaviours["sha256:…"] = Behaviour("v2", ready_after=None)
        cluster.create(INFERENCE_SERVICES, …)
        fake.settle()                             # until nothing changes any more
        fake.advance(60)                          # the only way that time passes
        with fake.held("configuration"): …        # a stage that does not get round to it
        fake.answers("fraud", 1000)               # Counter({(200, "v1"): 900, (200, "v2"): 100})

The controllers run by themselves, in a thread, whenever something changed. They are written after
the source of KServe v0.20 and Knative Serving v0.48, traps included, and do what the real ones were
seen to do: tests/contract/kubernetes_scenarios.py is played on both.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.kserve.cluster import Cluster, connect
from tests.fakes.knative_revisions import (
    autoscale,
    reconcile_configuration,
    reconcile_revision,
    run_pods,
)
from tests.fakes.knative_routes import program_gateway, reconcile_route, reconcile_service
from tests.fakes.knative_world import SteppedClock, Workload, World
from tests.fakes.kserve_front import Front, traffic_of
from tests.fakes.kserve_reconciler import reconcile_isvc
from tests.fakes.kserve_webhook import Webhook
from tests.fakes.kubelet import Behaviour, Pod
from tests.fakes.kubernetes_api import ApiServer
from tests.fakes.kubernetes_status import (
    CONFIGURATION,
    ISVC,
    KINDS,
    POD,
    REVISION,
    ROUTE,
    SERVICE,
    Json,
    Kind,
    denied_by_policy,
    denied_by_webhook,
    over_quota,
)
from tests.fakes.kubernetes_store import Review, Store

_Stage = Callable[[World], None]
_MOST_ROUNDS = 200


def _each(kind: Kind, reconcile: Callable[[World, Json], None]) -> _Stage:
    def stage(world: World) -> None:
        for found in world.store.all(kind):
            reconcile(world, found)

    return stage


def _collect(world: World) -> None:
    """Remove what belonged to what is gone."""
    living = {one["metadata"]["uid"] for kind in KINDS for one in world.store.all(kind)}
    for kind in (SERVICE, CONFIGURATION, ROUTE, REVISION, POD):
        for found in world.store.all(kind):
            owners = found["metadata"].get("ownerReferences", [])
            if owners and owners[0]["uid"] not in living:
                metadata = found["metadata"]
                world.store.delete(kind, metadata["namespace"], metadata["name"])
                world.workloads.pop(metadata["uid"], None)
                world.ingresses.pop(metadata["uid"], None)


def _run_pods(world: World) -> None:
    """Have each revision's pods: the newest first, for waking an old one takes an autoscaler."""
    for found in reversed(world.store.all(REVISION)):
        run_pods(world, found)


STAGES: dict[str, _Stage] = {
    "collector": _collect,
    "kserve": _each(ISVC, reconcile_isvc),
    "service": _each(SERVICE, reconcile_service),
    "configuration": _each(CONFIGURATION, reconcile_configuration),
    "scale": _each(REVISION, autoscale),
    "pods": _run_pods,
    "revision": _each(REVISION, reconcile_revision),
    "route": _each(ROUTE, reconcile_route),
    "gateway": program_gateway,
}


class FakeCluster:
    """The whole of it.

    Parameters
    ----------
    folder
        Where the kubeconfig is written.
    namespace
        Whose services :meth:`answers` and the like are about.
    by_itself
        Whether controllers run whenever something changed, or only in :meth:`settle`.

    """

    def __init__(self, folder: Path, *, namespace: str = "ml", by_itself: bool = True) -> None:
        self.namespace = namespace
        self.store = Store()
        self.webhook = Webhook()
        self.store.prepare = self.webhook.prepare
        self.world = World(self.store, SteppedClock())
        self.world.awaken = self._awaken
        self.store.now = self.world.clock.now
        self.api = ApiServer(self.store, logs=self._log)
        self.front = Front(self.world)
        self.behaviours = self.world.behaviours
        self._folder = folder
        self._held: set[str] = set()
        self._thread = threading.Thread(target=self._run) if by_itself else None
        self._ended = False

    def __enter__(self) -> Self:
        self.api.start()
        self.front.start()
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self.store.changed:
            self._ended = True
            self.store.changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        self.api.stop()
        self.front.stop()

    @property
    def kubeconfig(self) -> Path:
        return self.api.kubeconfig(self._folder)

    @property
    def gateway(self) -> str:
        """The address of the front."""
        return self.front.url

    def connect(self) -> Cluster:
        return connect(kubeconfig=self.kubeconfig, context=None, namespace=self.namespace)

    def settle(self) -> None:
        """Run the controllers until nothing changes any more."""
        with self.store.changed:
            for _ in range(_MOST_ROUNDS):
                if not self._round():
                    return
        raise AssertionError("the controllers do not come to rest")

    def advance(self, seconds: float, *, by: float = 1.0) -> None:
        """Let time pass, in small steps, and everything happen that happens meanwhile."""
        left = seconds
        while left > 0:
            with self.store.changed:
                self.world.clock.advance(min(by, left))
                self.settle()
            left -= by

    @contextmanager
    def held(self, *stages: str) -> Iterator[None]:
        """Keep stages of :data:`STAGES` from getting round to anything."""
        assert set(stages) <= set(STAGES)
        with self.store.changed:
            self._held |= set(stages)
        try:
            yield
        finally:
            with self.store.changed:
                self._held -= set(stages)
                self.store.poke()

    @contextmanager
    def denied(
        self,
        kind: Kind,
        when: Callable[[Review], bool] = lambda _: True,
        *,
        message: str = "image is not signed",
        policy: str = "signed-only",
        webhook: str = "",
    ) -> Iterator[None]:
        """Have admission say no to creating what ``when`` chooses; a service to changing it too."""
        operations = ("CREATE", "UPDATE") if kind == ISVC else ("CREATE",)

        def asked(review: Review) -> None:
            if review.kind == kind and review.operation in operations and when(review):
                if webhook:
                    raise denied_by_webhook(webhook, message)
                raise denied_by_policy(kind, review.object["metadata"]["name"], policy, message)

        self.store.admission.append(asked)
        try:
            yield
        finally:
            self.store.admission.remove(asked)
            self.store.poke()

    @contextmanager
    def full(self, quota: str = "limit", *, pods: int = 0) -> Iterator[None]:
        """Have a quota for so many pods; by default one that never has room for another."""

        def asked(review: Review) -> None:
            used = len(self.store.all(POD, self.namespace))
            if review.kind == POD and review.operation == "CREATE" and used >= pods:
                said = f"requested: pods=1, used: pods={used}, limited: pods={pods or used}"
                raise over_quota(POD, review.object["metadata"]["name"], quota, said)

        self.store.admission.append(asked)
        try:
            yield
        finally:
            self.store.admission.remove(asked)
            self.store.poke()

    def isvc(self, name: str) -> Json:
        return self.store.get(ISVC, self.namespace, name)

    def traffic(self, name: str) -> str:
        """Write the observed split in one line: ``02*=10 01=90#prev``."""
        return traffic_of(self.isvc(name))

    def host(self, name: str, tag: str = "") -> str:
        place = f"{name}-predictor.{self.namespace}.{self.world.domain}"
        return f"{tag}-{place}" if tag else place

    def answers(self, name: str, requests: int = 100, tag: str = "") -> Counter[tuple[int, str]]:
        """Send requests, and count who answered: ``(status, name)``."""
        host = self.host(name, tag)
        return Counter(self.front.ask(host)[:2] for _ in range(requests))

    def pods(self, revision: str) -> list[Pod]:
        return [pod for work, pod in self.world.pods() if work.revision == revision]

    def revisions(self, name: str) -> list[Json]:
        label = f"serving.knative.dev/service={name}-predictor"
        return self.store.all(REVISION, self.namespace, labels=label)

    def unready(self, revision: str) -> None:
        """Have a revision's pods fail their probes from now on, and live."""
        with self.store.changed:
            for pod in self.pods(revision):
                pod.container.unready = True
            self.store.poke()

    def crash(self, revision: str) -> None:
        """End a revision's containers that run now."""
        with self.store.changed:
            for pod in self.pods(revision):
                if pod.container.is_running():
                    pod.container.end(self.world.clock.seconds, self.store.stamp())
            self.store.poke()

    def _round(self) -> bool:
        """Run every stage once that is not held; tell whether anything changed."""
        changed = False
        for name in STAGES:
            changed |= name not in self._held and self._stage(name)
        return changed

    def _stage(self, name: str) -> bool:
        before = self._mark()
        STAGES[name](self.world)
        return self._mark() != before

    def _mark(self) -> tuple[int, tuple[int, ...], int]:
        asked = tuple(ingress.generation for ingress in self.world.ingresses.values())
        done = sum(ingress.programmed for ingress in self.world.ingresses.values())
        return self.store.version, asked, done

    def _run(self) -> None:
        """Run the controllers whenever something changed, letting others in between stages."""
        while not self._ended:
            begun, changed = self.store.pulse, False
            for name in STAGES:
                with self.store.changed:
                    changed |= name not in self._held and self._stage(name)
            with self.store.changed:
                while not changed and self.store.pulse == begun and not self._ended:
                    self.store.changed.wait()

    def _awaken(self, workload: Workload) -> None:
        for name in ("pods", "revision"):
            if name not in self._held:
                STAGES[name](self.world)
        del workload

    def _log(self, pod: Json, container: str, previous: bool) -> str:  # noqa: FBT001 - as asked
        if container != "kserve-container":
            return "queue-proxy is up\n"
        for _, found in self.world.pods():
            if found.uid == pod["metadata"]["uid"]:
                return found.container.output(previous=previous)
        return ""


__all__ = ["STAGES", "Behaviour", "FakeCluster"]
