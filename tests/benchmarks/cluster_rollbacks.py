"""``make bench-cluster``: rollbacks beside the same patches sent by hand; writes ``CLUSTER.md``.

``python -m tests.benchmarks.cluster_rollbacks [--rounds N]``. It needs root, as the cluster does.
"""

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from pipeline.adapters.kserve_serving import KServeServing
from pipeline.kserve.asking import Gateway
from pipeline.kserve.cluster import connect
from tests.cluster.grounds import Ground, Sent
from tests.cluster.lending import lent
from tests.cluster.models import pushing
from tests.cluster.rollbacks import STATES, Measured, State, by_hand, measured
from tests.cluster.services import Services
from tests.cluster.stack.whole import Whole
from tests.servers.waiting import until

_RESULTS = Path(__file__).with_name("CLUSTER.md")
_AT_MOST = 1.5
_KEPT = (0, 120)
_PATIENCE = 300.0
STEPS = (10, 25, 50)


@dataclass
class Row:
    """One state: what each round took, and how many calls Laurel made."""

    laurel: list[float] = field(default_factory=list)
    hand: list[float] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    failed: int = 0

    def line(self, name: str) -> str:
        """Write it as a row of the table."""
        ours, theirs = median(self.laurel), median(self.hand)
        met = "yes" if ours <= _AT_MOST * theirs else "**no**"
        spread = f"{min(self.laurel):.2f} .. {max(self.laurel):.2f}"
        other = f"{min(self.hand):.2f} .. {max(self.hand):.2f}"
        return (
            f"| {name} | {ours:.2f} s ({spread}) | {theirs:.2f} s ({other}) | "
            f"{ours / theirs:.2f} | {met} | {self.failed} | {max(self.calls)} |"
        )


@dataclass
class Field:
    """A namespace of the cluster, in which services are made and removed."""

    whole: Whole
    services: Services
    gateway: Gateway

    @contextmanager
    def service(self, name: str) -> Iterator[Ground]:
        """Lend a service that is not there yet."""
        kubeconfig = self.whole.plane.kubeconfig
        door = connect(kubeconfig=kubeconfig, context=None, namespace=self.services.namespace)
        target = KServeServing(door, self.gateway)
        try:
            yield Ground(name, self.services, pushing(self.whole.place), door, target)
        finally:
            self.services.api.delete(self.services.path(name))


def main() -> None:
    """Measure, say it, write it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.cluster_rollbacks")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=_RESULTS)
    said = parser.parse_args()
    with lent() as whole, _field(whole) as ground:
        rows = {name: Row() for name in STATES}
        for at in range(said.rounds):
            for number, (name, state) in enumerate(STATES.items()):
                _round(ground, f"{at}-{number}", state, rows[name], by_hand_first=at % 2 == 1)
                print(rows[name].line(name), flush=True)  # noqa: T201 - progress of a command
        sections = [_head(said.rounds), _table(rows), _calls(ground), _kept_warm(ground)]
    said.results.write_text("\n".join(sections))


@contextmanager
def _field(whole: Whole) -> Iterator[Field]:
    api, name = whole.plane.api(), f"bench-{os.urandom(3).hex()}"
    api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    try:
        with closing(Gateway(whole.place.gateway)) as gateway:
            yield Field(whole, Services(api, whole.place, name), gateway)
    finally:
        api.delete(f"/api/v1/namespaces/{name}")


def _round(place: Field, number: str, state: State, row: Row, *, by_hand_first: bool) -> None:
    """Bring two services into the same state, and roll both back.

    What is sent by hand was sent by Laurel to a third one, so that either may go first.
    """
    names = [f"{who}-{number}" for who in ("model", "ours", "theirs")]
    with place.service(names[1]) as ours, place.service(names[2]) as theirs:
        if by_hand_first:
            with place.service(names[0]) as pattern:
                sent = _by_laurel(pattern, state, Row())
            _by_hand(theirs, state, row, sent, names[0])
            _by_laurel(ours, state, row)
        else:
            sent = _by_laurel(ours, state, row)
            _by_hand(theirs, state, row, sent, names[1])


def _by_laurel(ground: Ground, state: State, row: Row) -> list[Sent]:
    back_to = state.prepare(ground)
    before = Counter(ground.cluster.calls)
    with ground.recorded() as sent:
        found = measured(ground, back_to, lambda: state.back(ground, back_to))
    row.calls.append((Counter(ground.cluster.calls) - before).total())
    row.laurel.append(found.seconds)
    row.failed += len(found.seen.failed())
    return sent


def _by_hand(ground: Ground, state: State, row: Row, sent: list[Sent], other: str) -> None:
    back_to = state.prepare(ground)
    found: Measured = measured(ground, back_to, lambda: by_hand(ground, sent, other))
    row.hand.append(found.seconds)


def _calls(place: Field) -> str:
    with place.service("counted") as ground:
        ground.history("v1", "v2")
        start = Counter(ground.cluster.calls)
        ground.target.objection(ground.plan)
        asked = Counter(ground.cluster.calls) - start
        ground.promote(ground.image("v3"), *STEPS)
        made = Counter(ground.cluster.calls) - start - asked
        start = Counter(ground.cluster.calls)
        ground.target.observe(ground.name)
        idle = Counter(ground.cluster.calls) - start
    by_kind = ", ".join(f"{count} {verb} {kind}" for (verb, kind), count in made.most_common())
    return (
        "## Calls of the API server\n\n"
        f"The preflight of a promotion: {asked.total()}, of which "
        f"{asked['create', 'selfsubjectaccessreviews']} ask for one right each. "
        f"A promotion in {len(STEPS)} steps after it: {made.total()} ({by_kind}). "
        f"A look at a service at rest: {idle.total()}. While pods start, two to four a second.\n"
    )


def _kept_warm(place: Field) -> str:
    """Measure for how long the pods of what served before stay."""
    lines = []
    for seconds in _KEPT:
        with place.service(f"kept-{seconds}") as ground:
            ground.pods = replace(ground.pods, keep_warm=seconds)
            (first,) = ground.history("v1")
            second = ground.canary(ground.image("v2"))
            ground.complete(second)
            began = time.monotonic()
            lasted = _gone(ground, first) - began
        name = f"`keep_warm: {seconds}s`" if seconds else "without `keep_warm`"
        lines.append(f"| {name} | {lasted:.0f} pod-seconds |")
    rows = "\n".join(lines)
    return (
        "## What warm pods cost\n\n"
        "From 100 % of a new version until the one pod of the version before is told to stop, at "
        "its full requests (`replicas.min` pods, were there more, go to one after the window):\n\n"
        f"| setting | cost |\n| --- | --- |\n{rows}\n"
    )


def _gone(ground: Ground, revision: str) -> float:
    def gone() -> bool:
        pods = ground.services.pods(revision)
        return all("deletionTimestamp" in pod["metadata"] for pod in pods)

    until(gone, "the end of its pods", _PATIENCE)
    return time.monotonic()


def _head(rounds: int) -> str:
    load = os.getloadavg()[0]
    return (
        "# Rollbacks on a cluster\n\n"
        f"Written by `make bench-cluster` on {datetime.now(UTC):%Y-%m-%d}: {rounds} rounds, "
        f"{os.cpu_count()} cores, one-minute load {load:.0f} at the end of them.\n\n"
        "Seconds from the call until the last request that was not answered by the version to "
        "return to, of 50 requests a second through Envoy: medians, and least .. most. Laurel's "
        "side is all that its target does, looks and guards included. By hand the very same JSON "
        "patches were sent with a bare client, known beforehand, to a service in the same state; "
        "it waited for nothing but pods. Models are ready after a few milliseconds: those that "
        "load for a minute take that minute on both sides where pods are cold.\n"
    )


def _table(rows: dict[str, Row]) -> str:
    lines = "\n".join(row.line(name) for name, row in rows.items())
    return (
        f"| state | Laurel | by hand | ratio | ≤ {_AT_MOST} | failed requests | calls |\n"
        f"{'| --- ' * 7}|\n{lines}\n"
    )


if __name__ == "__main__":
    main()
