"""What a promotion works with: every neighbour as its port, put together by the wiring."""

from dataclasses import dataclass

from pipeline.domain.admission import Rules
from pipeline.domain.policy import TrustPolicy
from pipeline.ports import (
    ArtifactStore,
    Clock,
    Freezes,
    ImageBuilder,
    ImageRegistry,
    LockResolver,
    Metrics,
    ModelRegistry,
    ModelRunner,
    ServingTarget,
    Signer,
)


@dataclass(frozen=True, slots=True)
class Tools:
    """Every neighbour of a promotion, as ports."""

    models: ModelRegistry
    artifacts: ArtifactStore
    resolver: LockResolver
    builder: ImageBuilder
    images: ImageRegistry
    runner: ModelRunner
    signer: Signer
    policy: TrustPolicy
    target: ServingTarget
    metrics: Metrics
    clock: Clock
    freezes: Freezes
    rules: Rules
