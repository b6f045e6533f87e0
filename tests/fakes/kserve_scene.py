"""KServe as a target on the fake cluster, with a record of what users were ever answered by."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.adapters.kserve_serving import KServeServing
from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.pods import PodPlan
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.domain.serving import Readiness
from pipeline.kserve.asking import Gateway
from pipeline.kserve.cluster import Cluster
from pipeline.kserve.inference import InferenceService
from tests.contract.kserve_promoting import killed
from tests.fakes import kserve_controllers
from tests.fakes.knative_world import World
from tests.fakes.kserve_controllers import Behaviour, FakeCluster
from tests.fakes.kubernetes_status import ISVC, Json
from tests.fakes.local_machine import eventually

SERVICE = "fraud"
REPOSITORY = "registry.example.com/ml/fraud"
PLAN = Plan(SERVICE, "fraud", repository=REPOSITORY, pods=PodPlan(progress_deadline=20))
NOTHING = Digest.of(b"")


def image(name: str) -> VerifiedImage:
    """Make up an image that answers as ``name``: ``v2`` is version 2."""
    version = int(name.strip("v-abcdefghijklmnopqrstuwxyz") or 9)
    return VerifiedImage(
        ImageRef(REPOSITORY, Digest.of(name.encode())),
        ModelVersion("fraud", version),
        "mlserver",
        "fraud",
        "key",
        NOTHING,
        NOTHING,
        NOTHING,
        (),
    )


class Scene:
    """A fake cluster, Laurel's target on it, and everything that the gateway ever had.

    ``served`` holds, for each change of the gateway, the share of each image of all requests.
    """

    def __init__(self, fake: FakeCluster, gateway: Gateway) -> None:
        self.fake = fake
        self.gateway = gateway
        self.cluster: Cluster = fake.connect()
        self.target = KServeServing(self.cluster, gateway)
        self.plan = PLAN
        self.served: list[dict[str, int]] = []

    def image(self, name: str, behaviour: Behaviour | None = None) -> VerifiedImage:
        made = image(name)
        kind = behaviour or Behaviour()
        self.fake.behaviours[str(made.ref.digest)] = replace(kind, name=name)
        return made

    def promote(self, name: str, sequence: int) -> str:
        """Take an image to 100 %; the name of its revision."""
        revision = self.canary(name, sequence)
        self.target.complete(SERVICE, revision, sequence)
        return revision

    def canary(self, name: str, sequence: int, percent: int = 0) -> str:
        """Start a canary that gets ready, with a share."""
        revision = self.target.deploy(self.plan, self.image(name), sequence)
        eventually(lambda: self.target.readiness(SERVICE, revision)[0] is Readiness.READY)
        if percent:
            self.target.shift(SERVICE, revision, percent, sequence)
        return revision

    def history(self, *names: str) -> list[str]:
        """Promote these one after the other; what was served until then is forgotten."""
        revisions = [self.promote(name, at) for at, name in enumerate(names, start=1)]
        self.settle()
        self.served.clear()
        return revisions

    def settle(self) -> None:
        self.fake.settle()

    def now(self) -> InferenceService:
        return InferenceService.parse(self.fake.isvc(SERVICE))

    def edit(self, *operations: Json) -> None:
        """Change the InferenceService as a person with kubectl does."""
        self.fake.store.patch(ISVC, self.fake.namespace, SERVICE, list(operations))

    def killed(self, *, after: int, subresource: str | None = None) -> AbstractContextManager[None]:
        """End Laurel right after so many patches: of all, or of the object or ``status`` alone."""
        return killed(self.cluster, after=after, subresource=subresource)

    def answers(self, requests: int = 50) -> set[str]:
        self.settle()
        return {f"{status} {name}" for status, name in self.fake.answers(SERVICE, requests)}

    def record(self, world: World) -> None:
        """Note what the gateway gives to which image now."""
        names = {one["metadata"]["name"]: one for one in self.fake.revisions(SERVICE)}
        shares: dict[str, int] = {}
        for revision, percent in world.gateway.get(self.fake.host(SERVICE), []):
            if percent and revision in names:
                found = names[revision]["spec"]["containers"][0]
                who = world.behaviour(found).name
                shares[who] = shares.get(who, 0) + percent
        if shares and (not self.served or self.served[-1] != shares):
            self.served.append(shares)

    def only(self, *names: str) -> bool:
        """Tell whether none but these were ever served."""
        return {who for shares in self.served for who in shares} <= set(names)


@contextmanager
def kserve_scene(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """Start the fake cluster, and watch its gateway."""
    with FakeCluster(folder) as fake, closing(Gateway(fake.gateway)) as gateway:
        scene = Scene(fake, gateway)
        program = kserve_controllers.STAGES["gateway"]

        def watched(world: World) -> None:
            program(world)
            scene.record(world)

        monkeypatch.setitem(kserve_controllers.STAGES, "gateway", watched)
        yield scene
