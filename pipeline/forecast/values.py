"""What is asked to foresee a promotion, and what is foreseen."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.domain.compatibility import Change
from pipeline.domain.evidence import Lock
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.ports import (
    ArtifactStore,
    Clock,
    Freezes,
    ImageRegistry,
    LockResolver,
    ModelRegistry,
    ServingTarget,
)


@dataclass(frozen=True, slots=True)
class World:
    """What is asked; every one of these is only read."""

    models: ModelRegistry
    artifacts: ArtifactStore
    resolver: LockResolver
    images: ImageRegistry
    target: ServingTarget
    known_lock: Callable[[Digest], Lock | None]
    clock: Clock
    freezes: Freezes


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule and whether it is met; ``why`` says what is missing, with the fix."""

    name: str
    met: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the image: how many bytes, and whether the registry lacks them.

    ``size`` is ``None`` where nobody knows before it is made.
    """

    name: str
    moves: bool
    size: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a promotion of one service would do.

    ``image`` is the one that would be deployed, where it was made before; ``packages`` are lines
    of a diff against ``packages_of``: the serving image's lock, or its model's own requirements.
    """

    service: str
    rules: tuple[Rule, ...]
    model: ModelVersion | None = None
    run_id: str | None = None
    serves: str = ""
    image: ImageRef | None = None
    lock: Lock | None = None
    packages: tuple[str, ...] = ()
    packages_of: str = ""
    signature: tuple[Change, ...] = ()
    signature_of: str = ""
    parts: tuple[Part, ...] = ()
    traffic: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the promotion would end before it got traffic."""
        return not all(rule.met for rule in self.rules)
