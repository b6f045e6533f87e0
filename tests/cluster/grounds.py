"""Services kept by Laurel's target alone, without a worker: small models, quickly promoted.

A test can look at each moment of a promotion, and count each call.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pipeline.adapters.kserve_serving import KServeServing
from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.pods import PodPlan, Probe
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.kserve.cluster import Cluster
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.json_patch import Json
from tests.cluster.models import Model
from tests.cluster.services import Services
from tests.cluster.traffic import Target
from tests.contract.kserve_promoting import Promoting

SMALL: dict[str, Any] = {
    "requests": {"cpu": "5m", "memory": "16Mi"},
    "limits": {"cpu": "500m", "memory": "64Mi"},
    "probe": Probe(1),
    "timeout": 10,
    "progress_deadline": 20,
}
_NONE = Digest.of(b"")


@dataclass(frozen=True)
class Sent:
    """One JSON patch that was sent."""

    subresource: str
    operations: Sequence[Json]


@dataclass
class Ground(Promoting):
    """One service on a real cluster."""

    name: str
    services: Services
    model: Model
    cluster: Cluster
    target: KServeServing
    pods: PodPlan = field(default_factory=lambda: PodPlan(**SMALL))
    sequence: int = 0

    @property
    def plan(self) -> Plan:
        """The service as laurel.yaml would have it."""
        return Plan(self.name, "fraud", repository="model", pods=self.pods)

    def image(self, version: str, **knobs: str) -> VerifiedImage:
        """Push a model server, and name its image as ``verify`` would."""
        ref = ImageRef.parse(self.model(version, **knobs))
        number = int(version.strip("v-abcdefghijklmnopqrstuwxyz") or 9)
        model = ModelVersion("fraud", number)
        return VerifiedImage(ref, model, "mlserver", "fraud", "k", _NONE, _NONE, _NONE, ())

    def now(self) -> InferenceService:
        """Read what stands there."""
        return InferenceService.parse(self.services.read(self.name))

    def edit(self, *operations: Json, subresource: str = "") -> None:
        """Change the InferenceService as a person with kubectl does."""
        path = f"{self.services.path(self.name)}/{subresource}".rstrip("/")
        status, said = self.services.api.patch(path, list(operations))
        assert status == 200, said

    def revisions(self) -> dict[str, str]:
        """Name every revision with its image."""
        listed = self.services.api.items(self.services.knative("revisions"))
        return {
            each["metadata"]["name"]: each["spec"]["containers"][0]["image"]
            for each in listed
            if each["metadata"]["name"].startswith(f"{self.name}-predictor-")
        }

    def users(self) -> Target:
        """Say where users' requests go."""
        return self.services.target(self.name)

    @contextmanager
    def recorded(self) -> Iterator[list[Sent]]:
        """Note every patch that Laurel sends."""
        sent: list[Sent] = []
        patch = self.cluster.patch

        def noted(*args: Any, **how: Any) -> Json:  # noqa: ANN401 - as patch() takes them
            done = patch(*args, **how)
            sent.append(Sent(how.get("subresource", ""), args[2]))
            return done

        self.cluster.patch = noted  # type: ignore[method-assign]  # its one door
        try:
            yield sent
        finally:
            self.cluster.patch = patch  # type: ignore[method-assign]  # its one door
