"""A service with a stable revision and live traffic, for the tests of steps that move it."""

from dataclasses import dataclass, field

from pipeline.domain.evidence import (
    CanaryRevision,
    ProvenRevision,
    Stopped,
    Unknown,
    VerifiedImage,
)
from pipeline.domain.plan import CanaryPlan, Plan
from pipeline.domain.promotion import Control, ControlKind
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from tests.fakes.clock import START, FakeClock
from tests.fakes.freezes import FakeFreezes
from tests.fakes.journal import FakeJournal
from tests.fakes.metrics import FakeMetrics
from tests.fakes.serving_target import FakeServingTarget

SERVICE = "fraud"
PLAN = Plan(
    service=SERVICE,
    model="fraud-scorer",
    canary=CanaryPlan(steps=(10, 50), interval=60, min_samples=200, deadline=86400, look_every=5),
)
ABORT = Control(ControlKind.ABORT, "ada", "wrong model", START)
MOVED = Stopped(Control(ControlKind.SUPERSEDE, "alias", "champion names version 3 now", START))


def verified(version: int, example: str | None = None) -> VerifiedImage:
    digest = Digest.of(f"version {version}".encode())
    return VerifiedImage(
        ref=ImageRef("ml/fraud", digest),
        model=ModelVersion("fraud-scorer", version),
        runtime="mlserver",
        slug="fraud-scorer",
        key_id="0" * 64,
        artifact_digest=digest,
        lock_digest=digest,
        base_digest=digest,
        statements=(),
        example=example,
    )


@dataclass
class Answers:
    """What re-reading the alias says: ``now``, until a test changes it; every question counts."""

    now: Stopped | Unknown | None = None
    asked: int = 0

    def __call__(self) -> Stopped | Unknown | None:
        self.asked += 1
        return self.now


@dataclass
class Scene:
    """Version 1 serves; version 2 runs at 0 %; 100 requests a second arrive."""

    target: FakeServingTarget = field(default_factory=FakeServingTarget)
    clock: FakeClock = field(default_factory=FakeClock)
    freezes: FakeFreezes = field(default_factory=FakeFreezes)
    journal: FakeJournal = field(default_factory=FakeJournal)
    wanted: Answers = field(default_factory=Answers)
    plan: Plan = PLAN

    def __post_init__(self) -> None:
        self.target.clock = self.clock
        self.stable = self.target.deploy(self.plan, verified(1), 1)
        self.target.complete(SERVICE, self.stable, 1)
        self.new = self.target.deploy(self.plan, verified(2), 2)
        self.metrics = FakeMetrics(self.target, SERVICE)
        self.metrics.serve(self.stable, 10_000)
        self.clock.passing.append(self.metrics.flow)

    @property
    def revision(self) -> CanaryRevision:
        return CanaryRevision(SERVICE, self.new, verified(2).ref, self.stable)

    @property
    def proven(self) -> ProvenRevision:
        return ProvenRevision(self.revision, "example")

    @property
    def percent(self) -> int:
        canary = self.target.observe(SERVICE).canary
        return canary.percent if canary else 0
