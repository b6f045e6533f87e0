"""What scenarios of KServe are played on: the fake cluster, or a real one, through the same verbs.

What is said of an InferenceService is written short: ``02*=10 01=90#prev`` is its observed split
(``*`` is the floating target), ``02 02 01 -`` its memory: the revisions created, ready, rolled out
last and before that.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.kserve.cluster import Cluster
from pipeline.kserve.resources import INFERENCE_SERVICES, PODS, REVISIONS

Json = dict[str, Any]
IMAGE = "/spec/predictor/containers/0/image"
PERCENT = "/spec/predictor/canaryTrafficPercent"
DEADLINE = "serving.knative.dev/progress-deadline"
_MEMORY = ("Created", "Ready", "Rolledout")


class Stage(Protocol):
    """A cluster with a namespace of our own."""

    @property
    def cluster(self) -> Cluster:
        """Lend the door to it."""

    def image(
        self,
        version: str,
        *,
        ready_after: float = 0,
        never_ready: bool = False,
        crash_after: float | None = None,
        broken: bool = False,
    ) -> str:
        """Have a model image; a broken one answers 500."""

    def missing_image(self) -> str:
        """Name an image that no registry has."""

    def until(self, seen: Callable[[], object]) -> None:
        """Let time pass until something is seen; fail where it is not for very long."""

    def wait(self, seconds: float) -> None:
        """Let so much time pass."""

    def answers(self, name: str, requests: int = 100, tag: str = "") -> Counter[str]:
        """Send requests; count them by the version that answered, or by what came instead."""

    def pods_denied(self, image: str) -> AbstractContextManager[None]:
        """Have admission refuse this image's pods."""

    def denied(self, plural: str) -> AbstractContextManager[None]:
        """Have admission refuse ``revisions``, or changes of ``inferenceservices``."""

    def full(self) -> AbstractContextManager[None]:
        """Have a quota that leaves room for no further pod."""

    def crash(self, revision: str) -> None:
        """End the containers of a revision that run now."""

    def unready(self, revision: str) -> None:
        """Have a revision's pods fail their probes from now on, and live."""


@dataclass(frozen=True)
class Scene:
    """One InferenceService on a stage."""

    stage: Stage
    name: str

    def create(self, image: str, *, ready: bool = True, **predictor: Any) -> None:  # noqa: ANN401 - fields
        """Make it, and wait until it serves."""
        annotations = {DEADLINE: "20s", **predictor.pop("metadata_annotations", {})}
        container = {
            "name": "kserve-container",
            "image": image,
            "env": [{"name": "PROTOCOL", "value": "v2"}],
            "ports": [{"containerPort": 8080}],
            "readinessProbe": {
                "httpGet": {"path": f"/v2/models/{self.name}/ready"},
                "periodSeconds": 1,
            },
            "resources": {
                "requests": {"cpu": "20m", "memory": "16Mi"},
                "limits": {"cpu": "500m", "memory": "64Mi"},
            },
        }
        spec = {"minReplicas": 1, "timeout": 10, "containers": [container], **predictor}
        manifest = {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": {"name": self.name, "annotations": annotations},
            "spec": {"predictor": spec},
        }
        self.stage.cluster.create(INFERENCE_SERVICES, manifest)
        if ready:
            self.settles("01*=100", "01 01 01 -")
            self.stage.until(lambda: self.condition("Ready") == "True")

    def change(
        self, image: str | None = None, percent: int | str | None = "same", *more: Json
    ) -> Json:
        """Patch image and percent in one; ``None`` takes the percent away."""
        operations = list(more)
        if image is not None:
            operations.append({"op": "replace", "path": IMAGE, "value": image})
        if percent is None and "canaryTrafficPercent" in self.read()["spec"]["predictor"]:
            operations.append({"op": "remove", "path": PERCENT})
        elif isinstance(percent, int):
            operations.append({"op": "add", "path": PERCENT, "value": percent})
        return self.stage.cluster.patch(INFERENCE_SERVICES, self.name, operations)

    def remember(self, which: str, revision: str) -> None:
        """Write into the memory that KServe keeps in the status."""
        path = f"/status/components/predictor/{which}RolledoutRevision"
        operation = {"op": "add", "path": path, "value": self.revision_name(revision)}
        self.stage.cluster.patch(INFERENCE_SERVICES, self.name, [operation], subresource="status")

    def read(self) -> Json:
        found = self.stage.cluster.get(INFERENCE_SERVICES, self.name)
        assert found is not None
        return found

    def revision_name(self, number: str) -> str:
        return f"{self.name}-predictor-000{number}"

    def revision(self, number: str) -> Json | None:
        return self.stage.cluster.get(REVISIONS, self.revision_name(number))

    def pods(self, number: str) -> list[Json]:
        label = f"serving.knative.dev/revision={self.revision_name(number)}"
        return self.stage.cluster.list(PODS, labels=label)

    def condition(self, type_: str) -> str:
        """Read a condition of the service: ``True``, or ``False: ReconcileFailed``."""
        return condition(self.read(), type_)

    def settles(self, split: str, memory: str) -> None:
        """Wait until split and memory are these, and the gateway has it."""
        last: list[tuple[str, str, str]] = []

        def seen() -> bool:
            now = self.read()
            last[:] = [(split_of(now), memory_of(now), condition(now, "PredictorRouteReady"))]
            return last == [(split, memory, "True")]

        try:
            self.stage.until(seen)
        except AssertionError as error:
            raise AssertionError(f"{(split, memory)} expected, {last} seen") from error

    def stays(self, split: str, memory: str, seconds: float = 6) -> None:
        """Wait, and see that nothing of this changed."""
        self.stage.wait(seconds)
        now = self.read()
        assert (split_of(now), memory_of(now)) == (split, memory)

    def answers(self, requests: int = 100, tag: str = "") -> Counter[str]:
        return self.stage.answers(self.name, requests, tag)

    def only(self, version: str, tag: str = "") -> bool:
        """Tell whether one version answers everything."""
        return self.answers(60, tag) == Counter({version: 60})

    def shares(self, **percents: int) -> None:
        """See each version's share of the answers, within what chance allows (5 sigma)."""
        requests = 600
        seen = self.answers(requests)
        assert set(seen) <= set(percents)
        for version, percent in percents.items():
            expected, spread = (
                requests * percent / 100,
                (requests * percent * (100 - percent)) ** 0.5,
            )
            assert abs(seen[version] - expected) <= 5 * spread / 100

    def promoted(self, first: str, second: str) -> None:
        """Have the history v1, v2: a steady service with something to fall back to."""
        self.create(first)
        self.change(second, 0)
        self.settles("02*=0 01=100#prev", "02 02 01 -")
        self.change(None, None)
        self.settles("02*=100", "02 02 02 01")


def condition(found: Json, type_: str) -> str:
    for one in found.get("status", {}).get("conditions", []):
        if one["type"] == type_:
            return f"{one['status']}: {one['reason']}" if one.get("reason") else str(one["status"])
    return ""


def message(found: Json, type_: str) -> str:
    for one in found.get("status", {}).get("conditions", []):
        if one["type"] == type_:
            return str(one.get("message", ""))
    return ""


def split_of(service: Json) -> str:
    return " ".join(_target(one) for one in _predictor(service).get("traffic", []))


def memory_of(service: Json) -> str:
    told = _predictor(service)
    names = [f"latest{which}Revision" for which in _MEMORY]
    return " ".join(told.get(name, "-")[-2:] for name in [*names, "previousRolledoutRevision"])


def _predictor(service: Json) -> Json:
    found: Json = service.get("status", {}).get("components", {}).get("predictor", {})
    return found


def _target(one: Json) -> str:
    latest, tag = "*" if one.get("latestRevision") else "", one.get("tag")
    return f"{one['revisionName'][-2:]}{latest}={one.get('percent', 0)}{f'#{tag}' if tag else ''}"
