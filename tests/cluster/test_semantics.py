"""The real cluster does what the fake one does; tests/contract/test_kubernetes_semantics.py too."""

import http.client
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.kserve.cluster import Cluster, connect
from tests.cluster.conftest import Model
from tests.cluster.obstacles import denied, quota
from tests.cluster.services import Services
from tests.cluster.traffic import burst
from tests.contract.kubernetes_scenarios import SCENARIOS
from tests.contract.kubernetes_stage import Scene
from tests.servers.waiting import until

pytestmark = pytest.mark.cluster

_PATIENCE = 120.0
_KINDS = {
    "revisions": ("serving.knative.dev", "v1", "revisions"),
    "inferenceservices": ("serving.kserve.io", "v1beta1", "inferenceservices"),
}


@dataclass(frozen=True)
class RealStage:
    """A namespace of a real cluster: time is everybody's, and takes as long as it takes."""

    cluster: Cluster
    services: Services
    model: Model

    def image(
        self,
        version: str,
        *,
        ready_after: float = 0,
        never_ready: bool = False,
        crash_after: float | None = None,
        broken: bool = False,
    ) -> str:
        knobs = {"READY_AFTER": f"{ready_after:g}s"} if ready_after else {}
        knobs |= {"NEVER_READY": "1"} if never_ready else {}
        knobs |= {"ERROR_RATE": "1"} if broken else {}
        knobs |= {"CRASH_AFTER": f"{crash_after:g}s"} if crash_after is not None else {}
        return self.model(version, **knobs)

    def missing_image(self) -> str:
        return f"{self.services.place.registry}/model@sha256:{'0' * 64}"

    def until(self, seen: Callable[[], object]) -> None:
        until(seen, "what the scenario waits for", _PATIENCE)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def answers(self, name: str, requests: int = 100, tag: str = "") -> Counter[str]:
        seen: Counter[str] = Counter()
        for answer in burst(self.services.target(name, tag), requests).answers:
            seen[(answer.version or "") if answer.status == 200 else str(answer.status)] += 1
        return seen

    def pods_denied(self, image: str) -> AbstractContextManager[None]:
        return self._denied(("", "v1", "pods"), ("CREATE",), _unless(image))

    def denied(self, plural: str) -> AbstractContextManager[None]:
        operations = ("CREATE",) if plural == "revisions" else ("CREATE", "UPDATE")
        return self._denied(_KINDS[plural], operations, "false")

    @contextmanager
    def full(self) -> Iterator[None]:
        api, namespace = self.services.api, self.services.namespace
        limit = f"/api/v1/namespaces/{namespace}/resourcequotas/limit"
        quota(api, namespace, pods="1")
        self.until(lambda: (api.get(limit) or {}).get("status", {}).get("used"))
        try:
            yield
        finally:
            api.delete(limit)

    def crash(self, revision: str) -> None:
        self._tell(revision, "crash")

    def unready(self, revision: str) -> None:
        self._tell(revision, "unready")

    def _tell(self, revision: str, what: str) -> None:
        for pod in self.services.pods(revision):
            connection = http.client.HTTPConnection(pod["status"]["podIP"], 8080, timeout=5)
            with closing(connection), suppress(OSError, http.client.HTTPException):
                connection.request("POST", f"/admin/{what}")
                connection.getresponse().read()

    def _denied(
        self, kind: tuple[str, str, str], operations: tuple[str, ...], unless: str
    ) -> AbstractContextManager[None]:
        namespace = self.services.namespace
        return denied(
            self.services.api,
            f"no-{kind[2]}-{namespace}",
            kind,
            "image is not signed",
            namespace=namespace,
            unless=unless,
            operations=operations,
        )


def _unless(image: str) -> str:
    digest = image.partition("@")[2]
    return f"!object.spec.containers.exists(c, c.image.contains('{digest}'))"


@pytest.fixture
def stage(kubeconfig: Path, services: Services, model: Model) -> RealStage:
    cluster = connect(kubeconfig=kubeconfig, context=None, namespace=services.namespace)
    return RealStage(cluster, services, model)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_cluster_does_what_the_fake_does(
    scenario: Callable[[Scene], None], stage: RealStage
) -> None:
    scenario(Scene(stage, "fraud"))
