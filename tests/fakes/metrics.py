"""Request counters that grow as the clock passes, split as the fake target splits traffic."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from pipeline.domain.serving import RequestTotals
from pipeline.errors import UnavailableError
from tests.fakes.clock import FakeClock
from tests.fakes.serving_target import FakeServingTarget

FAST, SLOW = 10.0, 1000.0
EDGES = (5.0, FAST, 20.0, 50.0, 100.0, SLOW)


@dataclass
class Behaviour:
    """How a revision answers: which share of its requests fails, which is slow."""

    failing: float = 0.0
    slow: float = 0.0


class FakeMetrics:
    """``rate`` requests a second reach ``service``; :meth:`flow` lets some seconds of them pass.

    The remainders of fractional requests are carried, so that shares come out exactly.
    """

    def __init__(self, target: FakeServingTarget, service: str, rate: float = 100.0) -> None:
        self.target = target
        self.service = service
        self.rate = rate
        self.away = False
        self.behaviour: dict[str, Behaviour] = {}
        self.totals: dict[str, dict[str, RequestTotals]] = {}
        self._owed: dict[tuple[str, str], float] = {}
        self._read: Callable[[str], dict[str, RequestTotals]] = self._now

    def read(self, service: str, revisions: Iterable[str]) -> dict[str, dict[str, RequestTotals]]:
        if self.away:
            raise UnavailableError("read request counters", service, "start the proxy")
        return {revision: self._read(revision) for revision in revisions}

    def scraped(self, every: float, clock: FakeClock) -> None:
        """Show each revision's counters as they were at its last scrape, at times of its own."""
        seen: dict[str, tuple[int, dict[str, RequestTotals]]] = {}

        def last(revision: str) -> dict[str, RequestTotals]:
            scrape = int(clock.elapsed / every + sum(map(ord, revision)) % 7 / 7)
            if revision not in seen or seen[revision][0] != scrape:
                seen[revision] = scrape, self._now(revision)
            return seen[revision][1]

        self._read = last

    def flow(self, seconds: float) -> None:
        state = self.target.observe(self.service)
        for revision in (state.stable, state.canary):
            if revision is not None:
                share = seconds * self.rate * revision.percent / 100
                self.serve(revision.name, self._whole(revision.name, "requests", share))

    def serve(self, revision: str, requests: int, series: str = "pod-1") -> None:
        behaviour = self.behaviour.get(revision, Behaviour())
        failed = self._whole(revision, "failed", requests * behaviour.failing)
        slow = self._whole(revision, "slow", requests * behaviour.slow)
        before = self.totals.setdefault(revision, {}).get(series, RequestTotals())
        counts = dict(before.buckets) or dict.fromkeys(EDGES, 0)
        self.totals[revision][series] = replace(
            before,
            completed=before.completed + requests,
            failed=before.failed + failed,
            buckets=tuple(
                (
                    edge,
                    counts[edge]
                    + (requests if edge >= SLOW else (requests - slow) * (edge >= FAST)),
                )
                for edge in EDGES
            ),
        )

    def _now(self, revision: str) -> dict[str, RequestTotals]:
        return dict(self.totals.get(revision, {}))

    def restart(self, revision: str, series: str = "pod-1") -> None:
        """Start this series from zero, as a restarted pod does."""
        self.totals[revision][series] = RequestTotals()

    def _whole(self, revision: str, of: str, amount: float) -> int:
        owed = self._owed.get((revision, of), 0.0) + amount
        whole = int(owed + 1e-9)
        self._owed[revision, of] = owed - whole
        return whole
