"""One worker's world in memory, with a real ledger: promotions run by a clock that never waits."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.adapters.cosign_signer import KeyFileSigner
from pipeline.adapters.layer_builder import LayerBuilder
from pipeline.domain.admission import Rules
from pipeline.domain.content import Content
from pipeline.domain.evidence import BuiltImage, Lock, Refused, StoredFile
from pipeline.domain.oci import Base, Layer
from pipeline.domain.plan import CanaryPlan, EnvVar, Plan
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.promotion import (
    Control,
    ControlKind,
    Kind,
    Phase,
    Promotion,
    Trigger,
    TriggerKind,
)
from pipeline.domain.references import Digest, ImageRef
from pipeline.domain.serving import Readiness
from pipeline.ledger import Ledger
from pipeline.ports import ImageRegistry
from pipeline.promote import carry_out
from pipeline.record import Record
from pipeline.run import Ended, Run
from pipeline.tools import Tools
from pipeline.trust.keys import PrivateKey
from tests.fakes.clock import FakeClock
from tests.fakes.freezes import FakeFreezes
from tests.fakes.image_registry import InMemoryRegistry
from tests.fakes.metrics import FakeMetrics
from tests.fakes.model_registry import FakeModelRegistry
from tests.fakes.serving_target import FakeServingTarget
from tests.unit.ledgers import open_ledger
from tests.unit.steps.model_scene import FIXTURES

SERVICE, MODEL = "fraud", "scorer"
PLAN = Plan(
    service=SERVICE,
    model=MODEL,
    repository="ml/fraud",
    canary=CanaryPlan(steps=(10, 50), interval=10, min_samples=80, look_every=5),
)
_KEY = PrivateKey.generate()
Step = Callable[[], Any]


class Files:
    """Every version holds one recorded model (``ports.ArtifactStore``); ``fault`` is raised."""

    def __init__(self) -> None:
        self.folder = FIXTURES / "sk-pickle"
        self.read_files = 0
        self.fault: Exception | None = None

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...] | Refused:
        assert artifact_uri
        if self.fault is not None:
            raise self.fault
        found = (path for path in sorted(self.folder.rglob("*")) if path.is_file())
        return tuple(StoredFile(path.name, path.stat().st_size) for path in found)

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        assert artifact_uri
        self.read_files += 1
        yield (self.folder / file.path).read_bytes()


class Resolver:
    """Locks everything alike (``ports.LockResolver``), or refuses."""

    def __init__(self) -> None:
        self.refusal: Refused | None = None

    def resolve(
        self,
        requirements: Iterable[str],
        *,
        runtime: str,
        python_version: str,
        fresh: bool = False,
    ) -> Lock | Refused:
        text = "\n".join([*requirements, "of today" if fresh else ""])
        return self.refusal or Lock(text, Digest.of(text.encode()), runtime, python_version)

    def install(self, lock: Lock, target: Path, *, python: Path) -> None:
        raise AssertionError(f"nothing is installed here: {lock} {target} {python}")


class Layers:
    """Base and environment of one small layer each (``ports.BaseImages``, ``Environments``)."""

    def base(self, base: str, repository: str, *, registry: ImageRegistry) -> Base:
        layer = Layer.plain(registry.push_blob(repository, Content.of(base.encode())))
        return Base(layer.diff_id, (layer,), "/opt/python/bin/python3", {})

    def environment(self, lock: Lock, repository: str, *, registry: ImageRegistry) -> Layer:
        return Layer.plain(registry.push_blob(repository, Content.of(lock.text.encode())))


@dataclass
class Bases:
    layers: Layers

    def provide(
        self,
        base: str,
        repository: str,
        *,
        platform: str,
        python_version: str,
        registry: ImageRegistry,
    ) -> Base:
        assert platform
        assert python_version
        return self.layers.base(base, repository, registry=registry)


@dataclass
class Environments:
    layers: Layers

    def provide(self, lock: Lock, repository: str, *, registry: ImageRegistry) -> Layer:
        return self.layers.environment(lock, repository, registry=registry)


class Runner:
    """A model server that answers ``status`` (``ports.ModelRunner``)."""

    def __init__(self) -> None:
        self.status = 200
        self.runs = 0

    @contextmanager
    def run(self, image: BuiltImage, env: tuple[EnvVar, ...]) -> Iterator["Runner"]:
        assert image.ref is not None
        assert env == ()
        self.runs += 1
        yield self

    def readiness(self) -> Readiness:
        return Readiness.READY

    def invoke(self, body: bytes) -> tuple[int, bytes]:
        assert body
        return self.status, b""

    def output(self) -> str:
        return "Traceback"


class InMemoryCheckpoints:
    """What the engine keeps of one attempt; ``done`` maps a step to its JSON."""

    def __init__(self) -> None:
        self.done: dict[str, Any] = {}

    def step(self, name: str, do: Step) -> Any:  # noqa: ANN401 - JSON
        if name not in self.done:
            self.done[name] = do()
        return self.done[name]


@dataclass
class Scene:
    """A service without a stable revision, a model with versions, 100 requests a second."""

    ledger: Ledger
    clock: FakeClock = field(default_factory=FakeClock)
    models: FakeModelRegistry = field(default_factory=FakeModelRegistry)
    files: Files = field(default_factory=Files)
    resolver: Resolver = field(default_factory=Resolver)
    images: InMemoryRegistry = field(default_factory=InMemoryRegistry)
    runner: Runner = field(default_factory=Runner)
    target: FakeServingTarget = field(default_factory=FakeServingTarget)
    freezes: FakeFreezes = field(default_factory=FakeFreezes)
    rules: Rules = field(default_factory=Rules)
    policy_key: PrivateKey = _KEY
    plan: Plan = PLAN
    metrics: FakeMetrics = field(init=False)

    def __post_init__(self) -> None:
        self.target.clock = self.clock
        self.metrics = FakeMetrics(self.target, SERVICE)
        self.clock.passing.append(self.metrics.flow)
        for version in (1, 2, 3):
            self.models.register(MODEL, version)

    @property
    def tools(self) -> Tools:
        layers = Layers()
        url = "http://127.0.0.1:5000"
        return Tools(
            models=self.models,
            artifacts=self.files,
            resolver=self.resolver,
            builder=LayerBuilder(Bases(layers), Environments(layers)),
            images=self.images,
            runner=self.runner,
            signer=KeyFileSigner(_KEY),
            policy=TrustPolicy((self.policy_key.public.pem,), "https://laurel.dev/b", url),
            target=self.target,
            metrics=self.metrics,
            clock=self.clock,
            freezes=self.freezes,
            rules=self.rules,
        )

    def accept(self, version: int, **changes: Any) -> Promotion:  # noqa: ANN401 - fields of a promotion
        """Write down what is to be promoted, with the alias on it."""
        if changes.setdefault("alias", "champion") is not None:
            self.models.point(MODEL, "champion", version)
        now = self.clock.now()
        draft = Promotion(
            id=f"p-{len(self.promotions) + 1}",
            sequence=0,
            service=SERVICE,
            kind=Kind.PROMOTION,
            phase=Phase.PENDING,
            plan=self.plan,
            model=self.models.register(MODEL, version, validated="true"),
            trigger=Trigger(TriggerKind.RECONCILER, "mlflow", now),
            created_at=now,
        )
        return self.ledger.promotions.accept(replace(draft, **changes))

    @property
    def promotions(self) -> list[Promotion]:
        return list(reversed(self.ledger.promotions.of_service(SERVICE)))

    def run(self, promotion: Promotion, checkpoints: InMemoryCheckpoints | None = None) -> Ended:
        """Carry it out, and record its end as the worker does."""
        promotion = self.ledger.promotions.change(promotion.id, phase=Phase.RUNNING)
        record = Record(promotion, self.ledger, self.clock)
        engine = checkpoints or InMemoryCheckpoints()
        run = Run(record, engine, self.clock, threading.Semaphore(1))
        ended = carry_out(run, self.tools)
        self.ledger.promotions.change(
            promotion.id, phase=ended.phase, reason=ended.reason, ended_at=self.clock.now()
        )
        return ended

    def promote(self, version: int, **changes: Any) -> Ended:  # noqa: ANN401 - fields of a promotion
        return self.run(self.accept(version, **changes))

    def roll_back_to(self, image: ImageRef | None, version: int = 1) -> Ended:
        return self.promote(version, kind=Kind.ROLLBACK, target=image, alias=None)

    def steps(self, promotion: str | None = None) -> list[str]:
        """Name the steps that were begun, in order."""
        of = promotion or self.promotions[-1].id
        events = self.ledger.events.of(of, kind="step_started")
        return [event.data["name"] for event in events]

    def decide(self, kind: ControlKind, reason: str = "not this one") -> None:
        """Record a decision about the newest promotion."""
        control = Control(kind, "ada", reason, self.clock.now())
        self.ledger.controls.add(self.promotions[-1].id, control)

    def at_step(self, name: str, do: Callable[[], None]) -> None:
        """Do something as soon as a step has begun."""
        append = self.ledger.events.append

        def appended(promotion: str, at: Any, kind: str, data: dict[str, Any]) -> None:  # noqa: ANN401 - a time
            append(promotion, at, kind, data)
            if kind == "step_started" and data["name"] == name:
                do()

        self.ledger.events.append = appended  # type: ignore[method-assign]  # a hook, in this scene alone

    @property
    def serves(self) -> tuple[int | None, int]:
        """Tell stable's version and what a canary takes."""
        state = self.target.observe(SERVICE)
        stable = None if state.stable is None else state.stable.model_version
        return stable, 0 if state.canary is None else state.canary.percent


def refuse(made: Scene) -> None:
    """Have the smoke test of every image fail."""
    made.runner.status = 500


@contextmanager
def scene(folder: Path, **changes: Any) -> Iterator[Scene]:  # noqa: ANN401 - fields of a scene
    """Open a scene on a ledger in ``folder``."""
    ledger = open_ledger(folder)
    try:
        yield Scene(ledger, **changes)
    finally:
        ledger.close()
