"""What an acknowledged delivery costs, beside the barest route that commits one row.

Real uvicorn processes on loopback, one at a time under load, interleaved in rounds so that a noisy
machine is noisy for all; the client runs on the same cores.
"""

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.benchmarks.load import Sample, burst, deliveries, paced, percentile
from tests.servers.receiver import Running, running, running_receiver

LAUREL = "Laurel: signature, JSON, de-duplication, grouped commits"
IN_THREAD = "bare FastAPI route, one row per commit, in a thread"
ON_LOOP = "bare FastAPI route, one row per commit, on the event loop"
_ROW_COUNT = {LAUREL: "SELECT count(*) FROM deliveries"}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    rounds: int = 3
    steady: int = 400
    per_second: int = 200
    throughput: int = 2000
    burst: int = 10_000
    connections: int = 32
    burst_connections: int = 64


SMALL = Size(rounds=1, steady=10, throughput=20, burst=50, connections=4, burst_connections=8)


@dataclass
class Contender:
    """One server and what was seen of it."""

    name: str
    port: int
    file: Path
    rates: list[float] = field(default_factory=list)
    steady: list[Sample] = field(default_factory=list)
    burst: list[Sample] = field(default_factory=list)
    burst_seconds: float = 0.0
    stored: int = 0

    def rows(self) -> int:
        """Count what is on disk."""
        with sqlite3.connect(self.file) as database:
            query = _ROW_COUNT.get(self.name, "SELECT count(*) FROM rows")
            counted: int = database.execute(query).fetchone()[0]
        database.close()
        return counted


def run(*, small: bool) -> str:
    """Measure, and write the section of the results."""
    size = SMALL if small else Size()
    with tempfile.TemporaryDirectory() as folder, _contenders(Path(folder)) as contenders:
        for number in range(size.rounds):
            for contender in contenders:
                _one_round(contender, size, number)
        for contender in contenders:
            _one_burst(contender, size)
    return _section(contenders, size)


@contextmanager
def _contenders(folder: Path) -> Iterator[list[Contender]]:
    files = {name: folder / f"{n}.db" for n, name in enumerate((LAUREL, IN_THREAD, ON_LOOP))}
    with ExitStack() as stack:
        servers = {
            LAUREL: stack.enter_context(running_receiver(files[LAUREL])),
            IN_THREAD: stack.enter_context(_bare(files[IN_THREAD], "thread")),
            ON_LOOP: stack.enter_context(_bare(files[ON_LOOP], "loop")),
        }
        yield [Contender(name, server.port, files[name]) for name, server in servers.items()]


def _bare(file: Path, mode: str) -> AbstractContextManager[Running]:
    return running("tests.benchmarks.bare", str(file), mode)


def _one_round(contender: Contender, size: Size, number: int) -> None:
    requests = deliveries(f"steady-{number}", size.steady)
    contender.steady += paced(contender.port, requests, size.per_second, size.connections)
    requests = deliveries(f"rate-{number}", size.throughput)
    samples, seconds = burst(contender.port, requests, size.connections)
    _require_all_accepted(contender, samples)
    contender.rates.append(len(samples) / seconds)


def _one_burst(contender: Contender, size: Size) -> None:
    before = contender.rows()
    requests = deliveries("burst", size.burst)
    contender.burst, contender.burst_seconds = burst(
        contender.port, requests, size.burst_connections
    )
    contender.stored = contender.rows() - before


def _require_all_accepted(contender: Contender, samples: list[Sample]) -> None:
    statuses = Counter(sample.status for sample in samples)
    if set(statuses) != {202}:
        raise RuntimeError(f"{contender.name} answered {dict(statuses)}: the rates mean nothing")


def _section(contenders: list[Contender], size: Size) -> str:
    rate = median(contenders[0].rates)
    rows = "\n".join(_row(contender, rate) for contender in contenders)
    bursts = "\n".join(_burst_row(contender, size.burst) for contender in contenders)
    return f"""## The receiver

Throughput on {size.connections} connections, {size.rounds} interleaved rounds of
{size.throughput} deliveries (medians); acknowledgement at {size.per_second} a second. The ratio
is Laurel's throughput over the peer's; at least 0.5 is asked for.

| server | deliveries a second | ratio | p50 ms | p99 ms |
| --- | --- | --- | --- | --- |
{rows}

{size.burst} deliveries at once on {size.burst_connections} connections. Lost is what was
acknowledged and is not on disk.

| server | seconds | 202 | 503 | no answer | rows stored | lost |
| --- | --- | --- | --- | --- | --- | --- |
{bursts}
"""


def _row(contender: Contender, laurel: float) -> str:
    rate = median(contender.rates)
    p50, p99 = (percentile(contender.steady, share) for share in (0.50, 0.99))
    return f"| {contender.name} | {rate:.0f} | {laurel / rate:.2f} | {p50:.1f} | {p99:.1f} |"


def _burst_row(contender: Contender, sent: int) -> str:
    statuses = Counter(sample.status for sample in contender.burst)
    accepted, refused = statuses[202], statuses[503]
    return (
        f"| {contender.name} | {contender.burst_seconds:.1f} | {accepted / sent:.1%} "
        f"| {refused / sent:.1%} | {sent - accepted - refused} | {contender.stored} "
        f"| {max(0, accepted - contender.stored)} |"
    )
