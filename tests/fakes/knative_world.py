"""What the controllers of the fake cluster share: the store, a clock, images, pods, an ingress."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from tests.fakes.kubelet import Behaviour, Pod
from tests.fakes.kubernetes_status import Json, Kind
from tests.fakes.kubernetes_store import Store

_NO_ROOM = (
    "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: "
    "0/1 nodes are available: 1 Preemption is not helpful for scheduling."
)
OWNER_CONTROLLERS = {"blockOwnerDeletion": True, "controller": True}


class SteppedClock:
    """A time that passes only when a test lets it."""

    def __init__(self) -> None:
        self._at = datetime(2026, 11, 21, 12, tzinfo=UTC)
        self._begun = self._at

    def now(self) -> datetime:
        return self._at

    @property
    def seconds(self) -> float:
        return (self._at - self._begun).total_seconds()

    def advance(self, seconds: float) -> None:
        self._at += timedelta(seconds=seconds)


@dataclass
class Workload:
    """What runs a revision: its deployment and its autoscaler, as far as anybody sees them."""

    revision: str
    namespace: str
    created: float
    deadline: float
    wanted: int
    pods: list[Pod] = field(default_factory=list)
    initialized: bool = False
    unrouted_since: float | None = None
    asked_at: float = 0.0
    failure: str = ""
    made: int = 0


@dataclass
class Ingress:
    """What a route wants of the gateway, and which of its generations the gateway has."""

    hosts: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    generation: int = 0
    programmed: int = 0


def _cpus(container: Json) -> float:
    said = str(container.get("resources", {}).get("requests", {}).get("cpu", "0"))
    return float(said[:-1]) / 1000 if said.endswith("m") else float(said)


@dataclass
class World:
    """Everything.

    Parameters
    ----------
    behaviours
        What images do, by digest or whole name; others are ready at once and answer.
    gateway
        What the gateway does: ``{host: [(revision, percent)]}``.
    cpus
        How many the one node has.
    awaken
        Brings up the pods of a revision that had none.

    """

    store: Store
    clock: SteppedClock
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    workloads: dict[str, Workload] = field(default_factory=dict)
    ingresses: dict[str, Ingress] = field(default_factory=dict)
    gateway: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    domain: str = "laurel.test"
    cpus: int = 8
    awaken: Callable[[Workload], None] = lambda _: None

    def behaviour(self, container: Json) -> Behaviour:
        """Tell what an image does; who answers is its name, else the digest's beginning."""
        image = container["image"]
        if _cpus(container) > self.cpus:
            return Behaviour(unschedulable=_NO_ROOM)
        digest = image.rpartition("@")[2]
        default = Behaviour(name=digest.removeprefix("sha256:")[:12])
        return self.behaviours.get(digest, self.behaviours.get(image, default))

    def pods(self) -> Iterator[tuple[Workload, Pod]]:
        for workload in list(self.workloads.values()):
            for pod in list(workload.pods):
                yield workload, pod

    def owned(self, kind: Kind, owner: Json) -> list[Json]:
        """Find what belongs to an object."""
        metadata = owner["metadata"]
        return [
            found
            for found in self.store.all(kind, metadata["namespace"])
            if any(
                reference["uid"] == metadata["uid"]
                for reference in found["metadata"].get("ownerReferences", [])
            )
        ]


def reference(owner: Json) -> Json:
    """Name an owner as its possessions do."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        **OWNER_CONTROLLERS,
    }
