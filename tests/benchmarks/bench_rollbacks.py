"""From the signed call for a rollback until every new request is answered by the old digest.

``make bench`` measures 50 rollbacks in each of four states of a service on this machine; beside
them the same change of traffic is made by the target alone, with nobody asked and nothing written.
``python -m tests.benchmarks.bench_rollbacks [--rounds N]`` prints the section and nothing else.
"""

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from tests.benchmarks.rollback_answers import asked
from tests.benchmarks.rollback_states import Stage, staged
from tests.servers.laurel import SERVICE
from tests.servers.waiting import until

_ROUNDS = 50
_AT_MOST = 1.0
_MORE = 20
"""Right answers in a row after which it is believed that no wrong one follows."""
_BIN, _BINS = 0.1, 15
_HAND = "by the target alone"


@dataclass
class Row:
    """What was measured in one state."""

    seconds: list[float] = field(default_factory=list)
    failed: int = 0

    def line(self, name: str) -> str:
        """Write it as a row of the table."""
        p50, p90 = (self.quantile(share) for share in (0.5, 0.9))
        most = max(self.seconds)
        met = "" if name == _HAND else "yes" if most <= _AT_MOST and not self.failed else "**no**"
        return (
            f"| {name} | {len(self.seconds)} | {_ms(min(self.seconds))} | {_ms(p50)} | {_ms(p90)} "
            f"| {_ms(most)} | {self.failed} | {met} |"
        )

    def quantile(self, share: float) -> float:
        """Tell what this share of them needed at most."""
        ordered = sorted(self.seconds)
        return ordered[ceil(len(ordered) * share) - 1]

    def histogram(self, name: str) -> str:
        """Draw how often it took how long; the last line is of all that took longer."""
        counts = Counter(min(int(each / _BIN), _BINS) for each in self.seconds)
        lines = [f"{at * _BIN:.1f} s {'█' * counts[at]}" for at in range(max(counts) + 1)]
        return "\n".join([name, *(line.rstrip() for line in lines)])


def run(*, small: bool) -> str:
    """Measure, and write the section of the results."""
    return measure(1 if small else _ROUNDS)


def measure(rounds: int) -> str:
    """Measure so many rollbacks in each state, taking turns."""
    rows = {name: Row() for name in (*STATES, _HAND)}
    with tempfile.TemporaryDirectory() as folder, staged(Path(folder)) as stage:
        for number in range(rounds):
            for name, prepare in STATES.items():
                stage.at_rest()
                version, call = prepare(stage, number)
                _measured(stage, version, call, rows[name])
            stage.at_rest()
            for _ in range(2):
                by_hand = stage.by_hand()
                _measured(stage, stage.other, by_hand, rows[_HAND])
    return _section(rows, rounds)


def _idle(stage: Stage, _number: int) -> tuple[int, Callable[[], object]]:
    stage.release()
    version = stage.other
    return version, lambda: stage.back_to(version)


def _held(stage: Stage, _number: int) -> tuple[int, Callable[[], object]]:
    stage.hold()
    version = stage.other
    return version, lambda: stage.back_to(version)


def _in_a_canary(stage: Stage, _number: int) -> tuple[int, Callable[[], object]]:
    version = stage.serves
    stage.canary()
    return version, lambda: stage.back_to(None)


def _in_a_rollback(stage: Stage, number: int) -> tuple[int, Callable[[], object]]:
    version = stage.serves
    stage.under_way(stage.other, number)
    return version, lambda: stage.back_to(version)


STATES: dict[str, Callable[[Stage, int], tuple[int, Callable[[], object]]]] = {
    "nothing runs": _idle,
    "held": _held,
    "in the midst of a canary": _in_a_canary,
    "in the midst of a rollback": _in_a_rollback,
}
"""Each brings a service into a state, and says what to go back to, and how that is asked for."""


def _measured(stage: Stage, version: int, call: Callable[[], object], row: Row) -> None:
    with asked(stage.laurel.settings.serving.port, SERVICE) as answers:
        until(lambda: len(answers.seen) > _MORE, "the first answers")
        called = time.monotonic()
        call()
        stage.at_rest()
        so_far = len(answers.seen)
        until(lambda: len(answers.seen) > so_far + _MORE, "more answers")
    assert {each.body for each in answers.seen[so_far + _MORE // 2 :]} == {str(version)}
    row.seconds.append(answers.after(called, str(version)))
    row.failed += answers.failed()


def _section(rows: dict[str, Row], rounds: int) -> str:
    table = "\n".join(row.line(name) for name, row in rows.items())
    drawn = "\n\n".join(rows[name].histogram(name) for name in STATES)
    hand = rows[_HAND].quantile(0.5)
    ratios = ", ".join(f"{name}: {rows[name].quantile(0.5) / hand:.1f}" for name in STATES)
    return f"""## Rollbacks on this machine

{rounds} rollbacks in each state, taking turns, by `POST /webhooks/rollback` of a real `laurel up`:
from the signed call until a request was sent after which every one was answered by the digest to
return to, of two callers who send as fast as answers come. The digest is warm. At most 1 s at the
slowest is asked for, with no request failed. In the midst of a rollback another one is called for,
back to what served, when the first has begun one of its steps, each in turn; where that has moved
nothing yet, nothing goes back. The last row is the bare change of traffic by the target itself;
medians over its median: {ratios}.

| state | rollbacks | least | p50 | p90 | slowest | failed requests | ≤ 1 s |
{"| --- " * 8}|
{table}

```
{drawn}
```
"""


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_rollbacks")
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    print(measure(parser.parse_args().rounds))  # noqa: T201 - result of a command
