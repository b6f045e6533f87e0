"""A serving target in memory: the port's whole contract, no process and no proxy."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.serving import Readiness, Revision, ServiceState
from pipeline.errors import NotFoundError, StaleSequenceError
from pipeline.image.config import host_platform


@dataclass
class _Service:
    sequence: int = 0
    made: int = 0
    stable: str | None = None
    canary: str | None = None
    percent: int = 0
    revisions: dict[str, Revision] = field(default_factory=dict)


class FakeServingTarget:
    """Services and their revisions; ``answers`` scripts readiness, ``shifts`` tells the history.

    ``answers`` is consumed from the front, one per question; when it is empty a revision is ready.
    """

    def __init__(self, platforms: Iterable[str] = (host_platform(),)) -> None:
        self._platforms = frozenset(platforms)
        self.services: dict[str, _Service] = {}
        self.answers: list[tuple[Readiness, str]] = []
        self.shifts: list[int] = []

    def platforms(self, service: str) -> frozenset[str]:
        assert service
        return self._platforms

    def observe(self, service: str) -> ServiceState:
        found = self.services.get(service, _Service())
        return ServiceState(
            name=service,
            url=f"http://{service}.test",
            sequence=found.sequence,
            stable=self._revision(found, found.stable, 100 - found.percent),
            canary=self._revision(found, found.canary, found.percent),
        )

    def deploy(self, plan: Plan, image: VerifiedImage, sequence: int) -> str:
        found = self.services.setdefault(plan.service, _Service())
        self._admit(found, plan.service, sequence)
        name = next((n for n, r in found.revisions.items() if r.image == image.ref), None)
        if name is None:
            found.made += 1
            name = f"{plan.service}-{found.made:05d}"
            found.revisions[name] = Revision(
                name, image.ref, 0, Readiness.READY, model_version=image.model.version
            )
        if name != found.stable:
            found.canary, found.percent = name, found.percent if name == found.canary else 0
        return name

    def readiness(self, service: str, revision: str) -> tuple[Readiness, str]:
        self._known(self.services.get(service, _Service()), revision)
        return self.answers.pop(0) if self.answers else (Readiness.READY, "")

    def shift(self, service: str, revision: str, percent: int, sequence: int) -> None:
        found = self.services.get(service, _Service())
        self._admit(found, service, sequence)
        self._known(found, revision)
        found.canary, found.percent = revision, percent
        self.shifts.append(percent)

    def complete(self, service: str, revision: str, sequence: int) -> None:
        found = self.services.get(service, _Service())
        self._admit(found, service, sequence)
        self._known(found, revision)
        found.stable, found.canary, found.percent = revision, None, 0

    def restore(self, service: str, sequence: int) -> None:
        found = self.services.get(service, _Service())
        self._admit(found, service, sequence)
        if found.canary is not None:
            del found.revisions[found.canary]
        found.canary, found.percent = None, 0

    def keep(self) -> None:
        """Nothing dies here by itself."""

    def _revision(self, found: _Service, name: str | None, percent: int) -> Revision | None:
        return None if name is None else replace(found.revisions[name], percent=percent)

    def _admit(self, found: _Service, service: str, sequence: int) -> None:
        if sequence < found.sequence:
            raise StaleSequenceError(
                "change the service", service, f"promotion {found.sequence} is newer"
            )
        found.sequence = sequence

    def _known(self, found: _Service, revision: str) -> None:
        if revision not in found.revisions:
            raise NotFoundError("find the revision", revision, "deploy it first")
