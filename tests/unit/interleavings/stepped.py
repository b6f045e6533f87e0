"""Clock, target, freezes, counters and worker in turns: each waits to be called."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from pipeline.domain.admission import Frozen
from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.serving import RequestTotals
from pipeline.errors import UnavailableError
from pipeline.worker import Worker
from tests.fakes.clock import FakeClock
from tests.fakes.freezes import FakeFreezes
from tests.fakes.metrics import FakeMetrics
from tests.fakes.serving_target import FakeServingTarget
from tests.fakes.turns import Turns
from tests.unit.interleavings.judge import Judge
from tests.unit.interleavings.services import SERVICES

T = TypeVar("T")
_INSTANT = timedelta(milliseconds=1)
_IDLE = 2.0
_RATE = 1000.0
_ALL = 100


class SteppedClock(FakeClock):
    """A clock on which whoever sleeps lets others go on; time passes when all of them sleep."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self._judge = judge
        self._turns = judge.turns

    def sleep(self, seconds: float) -> None:
        if self._turns.now is None:
            super().sleep(seconds)
        else:
            self._judge.slept()
            self._turns.here(due=self.now().timestamp() + seconds)

    def set(self, now: datetime) -> None:
        self._now = now

    def instant(self) -> None:
        """Let no two things happen at the very same time."""
        self._now += _INSTANT


class WatchedTarget(FakeServingTarget):
    """A target that stops before and after each change, and has it judged."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self._judge = judge

    def deploy(
        self, plan: Plan, image: VerifiedImage, sequence: int, *, at_once: bool = False
    ) -> str:
        do = partial(super().deploy, plan, image, sequence, at_once=at_once)
        return self._change(plan.service, sequence, 0, do)

    def shift(self, service: str, revision: str, percent: int, sequence: int) -> None:
        do = partial(super().shift, service, revision, percent, sequence)
        self._change(service, sequence, percent, do)

    def complete(self, service: str, revision: str, sequence: int) -> None:
        do = partial(super().complete, service, revision, sequence)
        self._change(service, sequence, _ALL, do)

    def restore(self, service: str, sequence: int) -> None:
        self._change(service, sequence, 0, partial(super().restore, service, sequence))

    def _change(self, service: str, sequence: int, percent: int, do: Callable[[], T]) -> T:
        self._judge.turns.here()
        self._judge.fault(before=True)
        self._judge.changes(service, sequence, percent, self)
        done = do()
        self._judge.turns.here()
        self._judge.fault(before=False)
        return done


class WatchedFreezes(FakeFreezes):
    """Freezes that tell the judge when a promotion asked whether it may have more."""

    def __init__(self, judge: Judge) -> None:
        super().__init__()
        self._judge = judge

    def frozen(self, service: str, at: datetime) -> Frozen | None:
        found = super().frozen(service, at)
        self._judge.asked(service, frozen=found is not None)
        return found


class Counters:
    """Request counters of both services (``ports.Metrics``)."""

    def __init__(self, target: FakeServingTarget, clock: FakeClock) -> None:
        self._of = {service: FakeMetrics(target, service, _RATE) for service in SERVICES}
        clock.passing.extend(metrics.flow for metrics in self._of.values())

    def read(self, service: str, revisions: Iterable[str]) -> dict[str, dict[str, RequestTotals]]:
        return self._of[service].read(service, revisions)


class SteppedWorker(Worker):
    """The worker with its loops in turns."""

    def __init__(self, turns: Turns, clock: SteppedClock, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as the worker's
        self._turns = turns
        self._clock = clock
        super().__init__(*args, **kwargs)

    def wake(self) -> None:
        for actor in self._turns.actors:
            if actor.name in {"reconcile", "dispatch"}:
                actor.due = 0.0

    def _begin(self, name: str, do: Callable[[], None], wait: Callable[[], object]) -> None:
        del wait  # which is for real time
        if name != "tidy":
            self._turns.begin(name, partial(self._loop, do))

    def _loop(self, do: Callable[[], None]) -> None:
        while True:
            with suppress(UnavailableError):  # told in the log, and tried again
                do()
            self._clock.sleep(_IDLE)
