"""A whole Laurel whose threads go one step at a time, and whose process may die at any of them.

Ledger, receiver, reconciler, worker, keeper and write-back are the real ones; MLflow, target,
registry, engine and clock are the fakes that other tests hold to their contracts. Before and after
each write, to the ledger or to the target, every thread stops until its turn comes.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from pipeline import worker as worker_module
from pipeline.domain.admission import RELEASE, Limits, Rules
from pipeline.domain.promotion import Promotion
from pipeline.domain.references import Alias
from pipeline.ledger import Ledger, rows
from pipeline.reconciler import Reconciler
from pipeline.tools import Tools
from tests.fakes.clock import FakeClock
from tests.fakes.engine import Attempts, InMemoryEngine
from tests.fakes.model_registry import FakeModelRegistry
from tests.fakes.turns import Actor, Turns
from tests.unit.interleavings.judge import Judge
from tests.unit.interleavings.services import (
    FIRST,
    FRESH,
    SERVICES,
    built_before,
    model_of,
    plan_of,
)
from tests.unit.interleavings.stepped import (
    Counters,
    SteppedClock,
    SteppedWorker,
    WatchedFreezes,
    WatchedTarget,
)
from tests.unit.ledgers import open_ledger
from tests.unit.promotion_scene import Scene

_POLL = timedelta(seconds=5)
_QUIET = 3 * _POLL
"""After so long every loop has looked again."""
_SETTLED_WITHIN = 40_000
_CARRIES_ON = 0.8


@dataclass(frozen=True)
class Begun:
    """What is left of a world: its ledger, what serves, what aliases name, and when that was."""

    ledger: bytes
    serving: dict[str, Any]
    named: dict[Alias, int]
    at: datetime


class World:
    """Both services, everybody's neighbours, and one life of Laurel after another."""

    def __init__(self, folder: Path, patched: pytest.MonkeyPatch, begun: Begun | None) -> None:
        self.folder, self.patched = folder, patched
        self.turns = Turns()
        self.judge = Judge(self.turns)
        self.clock = SteppedClock(self.judge)
        self.models = FakeModelRegistry()
        self.models.at_read = self.turns.here
        self.images = built_before()
        self.target = WatchedTarget(self.judge)
        self.freezes = WatchedFreezes(self.judge)
        self.counters = Counters(self.target, self.clock)
        for service in SERVICES:
            for version in range(FIRST, FRESH + 1):
                self.models.register(model_of(service), version, validated="true")
        self.plans = {service: plan_of(service) for service in SERVICES}
        self.rules = Rules(limits=Limits(canaries=1))
        self.attempts: Attempts = {}
        patched.setattr(worker_module, "Engine", self._engine)
        patched.setattr(rows, "secrets", SimpleNamespace(randbits=lambda _bits: 0))
        patched.setattr(rows, "time", SimpleNamespace(time=lambda: self.clock.now().timestamp()))
        open_ledger(folder).close()
        if begun is not None:
            self._go_on_from(begun)
        self.live()

    def live(self) -> None:
        """Start Laurel on the ledger as it is."""
        self.ledger = Ledger(f"sqlite:///{self.folder}/laurel.db")
        self.judge.read(self.ledger)
        self._stop_at_writes()
        reconciler = Reconciler(self.ledger, self.models, self.plans, self.clock, _POLL)
        self.worker = SteppedWorker(
            self.turns,
            self.clock,
            self.ledger,
            self._tools(),
            reconciler,
            self.plans,
            checkpoints=self.folder / "engine.db",
            heavy=4,
            poll=1.0,
        )
        self.turns.begin("start", self.worker.start)

    def begun(self) -> Begun:
        """Take a world at rest apart, so that others may go on from there."""
        self.end()
        ledger = (self.folder / "laurel.db").read_bytes()
        serving = copy.deepcopy(self.target.services)
        return Begun(ledger, serving, dict(self.models.named), self.clock.now())

    def die(self, *, checkpoints_too: bool = False) -> None:
        """Kill the process where each of its threads stands, and start another."""
        self.end()
        if checkpoints_too:
            self.attempts.clear()
        self.live()

    def end(self) -> None:
        self.turns.kill()
        self.ledger.close()

    def work(self, moves: int, seed: int) -> None:
        """Let threads go on, in an order that the seed decides."""
        order = Random(seed)  # noqa: S311 - an order, no secret
        for _ in range(moves):
            self._move(lambda ready: _chosen(ready, order))

    def settle(self, tend: Callable[[], None]) -> None:
        """Let everybody go on in turn till nothing is to be done; ``tend`` comes by meanwhile."""
        busy = self.clock.now()
        for move in range(_SETTLED_WITHIN):
            if move % 50 == 0:
                tend()
                if not self.settled:
                    busy = self.clock.now()
                elif self.clock.now() - busy > _QUIET:
                    return
            self._move(partial(_in_turn, move))
        left = [(p.service, p.phase, p.waiting) for p in self.ledger.promotions.open()]
        raise AssertionError(f"it does not settle: {left}")

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do but what waits for the release of its service."""
        ledger = self.ledger
        busy = (each for each in ledger.promotions.open() if not self.waits_for_release(each))
        return not (any(busy) or ledger.deliveries.unsettled() or ledger.promotions.untold())

    def waits_for_release(self, promotion: Promotion) -> bool:
        held = self.ledger.holds.get(promotion.service) is not None
        return held and promotion.waiting is not None and promotion.waiting.for_ == RELEASE

    def newest(self, service: str) -> Promotion | None:
        return self.ledger.promotions.latest(service)

    def named(self, service: str) -> int | None:
        """Tell what the alias names."""
        return self.models.named.get(Alias(model_of(service), "champion"))

    def serves(self, service: str) -> int | None:
        """Tell which version takes everything."""
        stable = self.target.observe(service).stable
        return None if stable is None else stable.model_version

    def _move(self, choose: Callable[[list[Actor]], Actor]) -> None:
        self.clock.instant()
        while not (ready := self._ready()):
            FakeClock.sleep(self.clock, 0.5)
        self.turns.go(choose(ready))

    def _ready(self) -> list[Actor]:
        now = self.clock.now().timestamp()
        return [actor for actor in self.turns.actors if actor.due <= now]

    def _go_on_from(self, begun: Begun) -> None:
        (self.folder / "laurel.db").write_bytes(begun.ledger)
        self.target.services = copy.deepcopy(begun.serving)
        self.models.named = dict(begun.named)
        self.clock.set(begun.at)

    def _stop_at_writes(self) -> None:
        write = self.ledger.database.write

        @contextmanager
        def stepped() -> Iterator[sa.Connection]:
            self.turns.here()
            self.clock.instant()
            with write() as connection:
                yield connection
            self.turns.here()

        self.patched.setattr(self.ledger.database, "write", stepped)

    def _engine(
        self, _path: Path, carry_out: Callable[[str, int], None], *, poll: float
    ) -> InMemoryEngine:
        wait = partial(self.clock.sleep, poll)
        return InMemoryEngine(self.attempts, carry_out, self.turns, wait)

    def _tools(self) -> Tools:
        """Give Laurel its neighbours; files, resolver, runner and key are those of a scene."""
        return replace(
            Scene(self.ledger).tools,
            models=self.models,
            images=self.images,
            target=self.target,
            metrics=self.counters,
            clock=self.clock,
            freezes=self.freezes,
            rules=self.rules,
        )


def _in_turn(move: int, ready: list[Actor]) -> Actor:
    return ready[move % len(ready)]


def _chosen(ready: list[Actor], order: Random) -> Actor:
    """Prefer who carries a promotion out: the others mostly look and find nothing."""
    carrying = [actor for actor in ready if "." in actor.name]
    return order.choice(carrying if carrying and order.random() < _CARRIES_ON else ready)
