"""Real promotions: ``laurel up`` in a process of its own, between a real MLflow and the cluster.

Models are the light ones of the acceptance tests: their images carry the real server, are built,
pushed to the cluster's registry and signed, and misbehave as they are told to
(:class:`tests.acceptance.light_models.LightModel`). Answers say by ``X-Model-Version`` whose they
are.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.domain.promotion import Phase, Promotion
from tests.acceptance.conftest import LIGHT, Registered, registered
from tests.cluster.services import Services
from tests.cluster.stack.place import Place
from tests.cluster.stack.whole import Whole
from tests.cluster.traffic import Target, Traffic, steady
from tests.servers.laurel import SERVICE, Laurel, install, until
from tests.servers.mlflow import MlflowServer

PATIENCE = 240.0
CANARY: dict[str, Any] = {
    "steps": [20, 50],
    "interval": "2s",
    "min_samples": 20,
    "look_every": "300ms",
}
PODS: dict[str, Any] = {
    "resources": {
        "requests": {"cpu": "20m", "memory": "48Mi"},
        "limits": {"cpu": "1", "memory": "160Mi"},
    },
    "probe": {"period": "1s", "timeout": "2s", "failure_threshold": 3},
    "timeout": "10s",
    "progress_deadline": "60s",
}


@dataclass(frozen=True)
class Neighbours:
    """What Laurels of many tests share."""

    cluster: Whole
    mlflow: MlflowServer
    cache: Path


@dataclass
class Promotions:
    """One service of one Laurel: ``laurel`` has its ledger and process, ``model`` its versions."""

    laurel: Laurel
    model: Registered
    services: Services

    def target(self, tag: str = "") -> Target:
        """Say where users' requests go."""
        return replace(self.services.target(SERVICE, tag), path="/invocations")

    def traffic(self, rate: float = 40, connections: int = 8) -> AbstractContextManager[Traffic]:
        """Have users send requests until the context ends."""
        return steady(self.target(), rate, connections)

    def move(self, **manner: Any) -> int:  # noqa: ANN401 - LightModel's own fields
        """Register the next version and move the alias to it; do not wait."""
        version = self.model.add(**manner)
        self.model.point(version)
        return version

    def ended(self, number: int | None = None) -> Promotion:
        """Wait for the end of the n-th promotion, or of the one after those that have ended."""
        if number is None:
            number = 1 + sum(each.phase.ended for each in self.laurel.promotions())
        return self.laurel.ended(number, seconds=PATIENCE)

    def serve(self, **manner: Any) -> Promotion:  # noqa: ANN401 - as above
        """Promote a next version that is good, to its end."""
        number = len(self.laurel.promotions()) + 1
        self.move(**manner)
        ended = self.ended(number)
        assert ended.phase is Phase.SUCCEEDED, self.laurel.story()
        return ended

    def change(self, **settings: object) -> None:
        """Restart Laurel with other settings of the service."""
        self.laurel.terminate()
        self.laurel.change(**settings)
        self.laurel.start("up")
        self.ready()

    def ready(self) -> None:
        """Wait until Laurel answers."""
        until(self.laurel.answers, "the receiver answers", PATIENCE, self.laurel.log)


def sections(place: Place, namespace: str, kubeconfig: Path, source: str) -> dict[str, object]:
    """Write the sections of laurel.yaml that say where the cluster is."""
    url = place.statistics if source == "envoy" else place.prometheus
    return {
        "registry": {"location": f"{place.registry}/promoted", "plain_http": [place.registry]},
        "serving": {
            "target": "kserve",
            "namespace": namespace,
            "kubeconfig": str(kubeconfig),
            "gateway": place.gateway,
        },
        "metrics": {"source": source, "url": url},
    }


@contextmanager
def promoting(
    between: Neighbours,
    namespace: str,
    folder: Path,
    *,
    source: str = "envoy",
    kubeconfig: Path | None = None,
    verb: str | None = "up",
    **service: object,
) -> Iterator[Promotions]:
    """Install a Laurel in ``folder`` and start it; ``service`` are settings of its service."""
    cluster = between.cluster
    model = registered(between.mlflow, folder)
    login = kubeconfig or cluster.plane.kubeconfig
    said = sections(cluster.place, namespace, login, source)
    own: Mapping[str, object] = {"model": model.name, "canary": CANARY, **PODS, **service}
    install(folder / "laurel", between.mlflow.url, between.cache, said, **own)
    laurel = Laurel(folder / "laurel", LIGHT)
    services = Services(cluster.plane.api(), cluster.place, namespace)
    made = Promotions(laurel, model, services)
    try:
        if verb is not None:
            laurel.start(verb)
            if verb == "up":
                made.ready()
        yield made
    finally:
        laurel.down()
