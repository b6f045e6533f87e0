"""What a promotion's steps do to a service on a cluster, in the same order, without a worker.

So that a test can look at each moment of it, on a fake cluster as on a real one.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.adapters.kserve_serving import KServeServing
from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.serving import Readiness
from pipeline.kserve.cluster import Cluster
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.json_patch import Json


class Promoting(ABC):
    """One service, and the target that keeps it; ``sequence`` is that of its last promotion."""

    name: str
    cluster: Cluster
    target: KServeServing
    sequence: int

    @property
    @abstractmethod
    def plan(self) -> Plan:
        """The service as laurel.yaml would have it."""

    @abstractmethod
    def image(self, version: str) -> VerifiedImage:
        """Have the image of a model that answers as this version."""

    @abstractmethod
    def now(self) -> InferenceService:
        """Read what stands there."""

    def begin(self, image: VerifiedImage, *, at_once: bool = False) -> str:
        """Begin a promotion: a revision at 0 %, which need not be ready yet."""
        self.target.observe(self.name)
        self.sequence += 1
        return self.target.deploy(self.plan, image, self.sequence, at_once=at_once)

    def deploy(self, image: VerifiedImage, *, at_once: bool = False) -> str:
        """Begin a promotion: a revision at 0 %, ready."""
        revision = self.begin(image, at_once=at_once)
        self.wait(revision)
        return revision

    def wait(self, revision: str) -> None:
        """Wait until a revision can take traffic."""
        told, why = self.judged(revision)
        assert told is Readiness.READY, why

    def judged(self, revision: str) -> tuple[Readiness, str]:
        """Wait until a revision can take traffic, or cannot; which of the two, and why."""
        told, why = Readiness.STARTING, ""
        while told is Readiness.STARTING:
            told, why = self.target.readiness(self.name, revision, wait=1.0)
        return told, why

    def shift(self, revision: str, percent: int) -> None:
        """Give a canary a share."""
        self.target.shift(self.name, revision, percent, self.sequence)

    def canary(self, image: VerifiedImage, *percents: int) -> str:
        """Start a canary, and give it these shares one after the other."""
        revision = self.deploy(image)
        for percent in percents:
            self.shift(revision, percent)
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


class Killed(BaseException):
    """What ends Laurel in the middle of a call, as ``kill -9`` does: nothing catches it."""


@contextmanager
def killed(cluster: Cluster, *, after: int, subresource: str | None = "") -> Iterator[None]:
    """End Laurel right after so many patches: of the object or ``status`` alone, or of any."""
    patch, left = cluster.patch, [after]

    def fatal(*args: Any, **how: Any) -> Json:  # noqa: ANN401 - as patch() takes them
        done = patch(*args, **how)
        left[0] -= subresource is None or how.get("subresource", "") == subresource
        if left[0] <= 0:
            raise Killed
        return done

    cluster.patch = fatal  # type: ignore[method-assign]  # its one door
    try:
        yield
    except Killed:
        return
    finally:
        cluster.patch = patch  # type: ignore[method-assign]  # its one door
