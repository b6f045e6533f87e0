"""Services kept by Laurel's target alone, without a worker: small models, quickly promoted.

What a promotion's steps do to a cluster is done here in the same order, so that a test can look at
each moment of it, and count each call.
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
from pipeline.domain.serving import Readiness
from pipeline.kserve.cluster import Cluster
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.json_patch import Json
from tests.cluster.models import Model
from tests.cluster.services import Services
from tests.cluster.traffic import Target

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
class Ground:
    """One service, and the target that keeps it; ``sequence`` is that of its last promotion."""

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

    def deploy(self, image: VerifiedImage, *, at_once: bool = False) -> str:
        """Begin a promotion: a revision at 0 %, ready."""
        self.target.observe(self.name)
        self.sequence += 1
        revision = self.target.deploy(self.plan, image, self.sequence, at_once=at_once)
        self.wait(revision)
        return revision

    def wait(self, revision: str) -> None:
        """Wait until a revision can take traffic."""
        told, why = Readiness.STARTING, ""
        while told is Readiness.STARTING:
            told, why = self.target.readiness(self.name, revision, wait=1.0)
        assert told is Readiness.READY, why

    def canary(self, image: VerifiedImage, *percents: int) -> str:
        """Start a canary, and give it these shares one after the other."""
        revision = self.deploy(image)
        for percent in percents:
            self.target.shift(self.name, revision, percent, self.sequence)
        return revision

    def promote(self, image: VerifiedImage, *percents: int) -> str:
        """Take an image to 100 %; its revision."""
        revision = self.canary(image, *percents)
        self.complete(revision)
        return revision

    def complete(self, revision: str) -> None:
        """End a promotion well."""
        self.target.complete(self.name, revision, self.sequence)
        self.target.observe(self.name)

    def history(self, *versions: str) -> list[str]:
        """Promote these one after the other; their revisions."""
        return [self.promote(self.image(version)) for version in versions]

    def return_to(self, image: VerifiedImage) -> None:
        """Roll back to an image that served before."""
        self.complete(self.deploy(image, at_once=True))

    def restore(self) -> None:
        """Give stable everything back."""
        self.target.restore(self.name, self.sequence)
        self.target.observe(self.name)

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
