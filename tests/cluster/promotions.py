"""Real promotions: ``laurel up`` in a process of its own, between a real MLflow and the cluster.

Models are the light ones of the acceptance tests: their images carry the real server, are built,
pushed to the cluster's registry and signed, and misbehave as they are told to
(:class:`tests.acceptance.light_models.LightModel`). Answers say by ``X-Model-Version`` whose they
are.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.domain.promotion import Phase, Promotion
from pipeline.domain.references import ImageRef
from pipeline.domain.serving import Revision
from pipeline.ledger import Event
from tests.acceptance.conftest import LIGHT, Registered, registered
from tests.cluster.services import Services
from tests.cluster.stack.place import Place
from tests.cluster.stack.whole import Whole
from tests.cluster.traffic import Target, Traffic, steady
from tests.servers.laurel import ROOT, SERVICE, Laurel, install
from tests.servers.mlflow import MlflowServer
from tests.servers.unmeasured import unmeasured
from tests.servers.waiting import until

PATIENCE = 240.0
PATH = "/invocations"
IN_FLIGHT = (
    "laurel.dev/canary",
    "laurel.dev/canary-model",
    "laurel.dev/percent",
    "laurel.dev/undo",
)
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
    "timeout": "60s",
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
    cluster: Whole

    def target(self, tag: str = "") -> Target:
        """Say where users' requests go."""
        return replace(self.services.target(SERVICE, tag), path=PATH)

    def traffic(
        self, rate: float = 40, connections: int = 8, path: str = PATH
    ) -> AbstractContextManager[Traffic]:
        """Have users send requests until the context ends."""
        return steady(replace(self.target(), path=path, patience=90.0), rate, connections)

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

    def event(self, number: int, kind: str, **data: object) -> Event:
        """Wait for an event of the n-th promotion."""
        return self.laurel.event(number, kind, PATIENCE, **data)

    def stable(self) -> Revision:
        """Say what is stable now, as Laurel sees it."""
        found = self.laurel.state().stable
        assert found is not None, self.laurel.story()
        return found

    def clean(self, image: ImageRef | None) -> None:
        """Fail where the InferenceService asks for anything but this image, for all requests."""
        now = self.services.read(SERVICE)
        annotations = now["metadata"]["annotations"]
        in_flight = [key for key in IN_FLIGHT if key in annotations]
        assert not in_flight, annotations
        asked = now["spec"]["predictor"]
        assert "canaryTrafficPercent" not in asked, asked
        assert asked["containers"][0]["image"] == str(image) == annotations["laurel.dev/digest"]

    def typed(self, *words: str) -> str:
        """Type a verb of ``laurel``, which must work, and return what it printed."""
        config = ("--config", str(self.laurel.folder / "laurel.yaml"))
        done = subprocess.run(
            [sys.executable, *self.laurel.program, "never", *words, *config],
            cwd=ROOT,
            env=unmeasured(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
        return done.stdout

    def change(self, **settings: object) -> None:
        """Restart Laurel with other settings of the service; ``None`` takes one out."""
        self.laurel.terminate()
        self.laurel.change(**settings)
        self.laurel.start("up")
        self.ready()

    def ready(self) -> None:
        """Wait until Laurel answers."""
        until(self.laurel.answers, "the receiver answers", PATIENCE, self.laurel.log)


def sections(
    place: Place,
    namespace: str,
    kubeconfig: Path,
    source: str,
    plain_http: tuple[str, ...] = (),
    reached: Callable[[str], str] = str,
) -> dict[str, object]:
    """Write the sections of laurel.yaml that say where the cluster is."""
    url = place.statistics if source == "envoy" else place.prometheus
    return {
        "registry": {
            "location": f"{place.registry}/promoted",
            "plain_http": [place.registry, *plain_http],
        },
        "serving": {
            "target": "kserve",
            "namespace": namespace,
            "kubeconfig": str(kubeconfig),
            "gateway": reached(place.gateway),
        },
        "metrics": {"source": source, "url": reached(url)},
    }


@contextmanager
def promoting(  # noqa: PLR0913 - what tests want to be otherwise
    between: Neighbours,
    namespace: str,
    folder: Path,
    *,
    source: str = "envoy",
    kubeconfig: Path | None = None,
    plain_http: tuple[str, ...] = (),
    reached: Callable[[str], str] = str,
    verb: str | None = "up",
    **service: object,
) -> Iterator[Promotions]:
    """Install a Laurel in ``folder`` and start it; ``service`` are settings of its service.

    ``reached`` turns the URLs of gateway and statistics into those that Laurel is to use.
    """
    cluster = between.cluster
    model = registered(between.mlflow, folder)
    login = kubeconfig or cluster.plane.kubeconfig
    said = sections(cluster.place, namespace, login, source, plain_http, reached)
    own: Mapping[str, object] = {"model": model.name, "canary": CANARY, **PODS, **service}
    install(folder / "laurel", between.mlflow.url, between.cache, said, **own)
    laurel = Laurel(folder / "laurel", LIGHT)
    services = Services(cluster.plane.api(), cluster.place, namespace)
    made = Promotions(laurel, model, services, cluster)
    try:
        if verb is not None:
            laurel.start(verb)
            if verb == "up":
                made.ready()
        yield made
    finally:
        laurel.down()
