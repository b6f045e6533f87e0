"""A serving target in memory: the port's whole contract, no process and no proxy."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.references import ImageRef
from pipeline.domain.serving import Hold, Readiness, Revision, ServiceState
from pipeline.errors import ConflictError, NotFoundError, StaleSequenceError
from pipeline.image.config import host_platform
from pipeline.ports import Clock


@dataclass
class _Service:
    sequence: int = 0
    made: int = 0
    stable: str | None = None
    canary: str | None = None
    percent: int = 0
    revisions: dict[str, Revision] = field(default_factory=dict)
    hold: Hold | None = None
    drift: str = ""
    edited: ImageRef | None = None


class FakeServingTarget:
    """Services and their revisions; ``shifts`` and ``asked`` tell the history.

    ``answers`` scripts readiness and ``replies`` what models answer; both are consumed from the
    front, one per question, and when they are empty a revision is ready and repeats what it is
    asked. Who waits for readiness lets ``clock`` pass.
    """

    def __init__(
        self, platforms: Iterable[str] = (host_platform(),), clock: Clock | None = None
    ) -> None:
        self._platforms = frozenset(platforms)
        self.clock = clock
        self.services: dict[str, _Service] = {}
        self.answers: list[tuple[Readiness, str]] = []
        self.replies: list[tuple[int, bytes] | Exception] = []
        self.asked: list[tuple[str, bytes]] = []
        self.shifts: list[int] = []
        self.objections: str | None = None
        self.foreign: str | None = None
        self.at_once = False
        self.troubles: str | Exception = ""

    def platforms(self, service: str) -> frozenset[str]:
        assert service
        return self._platforms

    def objection(self, plan: Plan) -> str | None:
        assert plan.service
        return self.objections

    def observe(self, service: str) -> ServiceState:
        found = self.services.get(service, _Service())
        return ServiceState(
            name=service,
            url=f"http://{service}.test",
            sequence=found.sequence,
            stable=self._revision(found, found.stable, 100 - found.percent),
            canary=self._revision(found, found.canary, found.percent),
            foreign=self.foreign,
            hold=found.hold,
            drift=found.drift,
        )

    def differences(self, plan: Plan, image: VerifiedImage) -> tuple[str, ...]:
        return () if self.foreign is None else (f"{plan.service}: {self.foreign} -> {image.ref}",)

    def deploy(
        self, plan: Plan, image: VerifiedImage, sequence: int, *, at_once: bool = False
    ) -> str:
        self.at_once = at_once
        found = self.services.setdefault(plan.service, _Service())
        self._admit(found, plan.service, sequence)
        self.foreign = None
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

    def readiness(self, service: str, revision: str, *, wait: float = 0.0) -> tuple[Readiness, str]:
        self._known(self.services.get(service, _Service()), revision)
        answer = self.answers.pop(0) if self.answers else (Readiness.READY, "")
        if self.clock is not None and wait and answer[0] is Readiness.STARTING:
            self.clock.sleep(wait)
        return answer

    def trouble(self, service: str, revision: str) -> str:
        self._known(self.services.get(service, _Service()), revision)
        if isinstance(self.troubles, Exception):
            raise self.troubles
        return self.troubles

    def ask(self, service: str, revision: str, body: bytes) -> tuple[int, bytes]:
        self._known(self.services.get(service, _Service()), revision)
        self.asked.append((revision, body))
        reply = self.replies.pop(0) if self.replies else (200, body)
        if isinstance(reply, Exception):
            raise reply
        return reply

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
        if found.stable is not None and found.edited is not None:
            before = found.revisions[found.stable]
            found.revisions[found.stable] = replace(before, image=found.edited)
        found.drift, found.edited = "", None

    def hold(self, service: str, hold: Hold | None) -> None:
        if self.observe(service).sequence:
            self.services[service].hold = hold

    def adopt(self, service: str, image: VerifiedImage) -> None:
        state = self.observe(service)
        if not state.serves(image.ref):
            raise ConflictError("adopt an image", service, "it serves another one by now")
        self.services[service].drift, self.services[service].edited = "", None

    def edit(self, service: str, image: ImageRef | None, drift: str) -> None:
        """Do what a person does with an editor; without an image another field was edited."""
        found = self.services[service]
        assert found.stable is not None
        found.drift, before = drift, found.revisions[found.stable]
        found.edited = found.edited or before.image
        found.revisions[found.stable] = replace(before, image=image or before.image)

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
