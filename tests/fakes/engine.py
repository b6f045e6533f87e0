"""A durable engine in memory: :class:`pipeline.engine.Engine`'s six calls, in turns.

What it keeps (``kept``) outlives the process that dies, as the real one's file does.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.turns import Turns


@dataclass
class Kept:
    """One attempt as the engine's file has it."""

    service: str
    sequence: int
    state: str = "enqueued"
    done: dict[str, Any] = field(default_factory=dict)


Attempts = dict[tuple[str, int], Kept]


class InMemoryEngine:
    """Runs attempts one per service at a time, in the order of their sequence.

    ``poll`` waits between two looks at what is enqueued.
    """

    def __init__(
        self,
        kept: Attempts,
        carry_out: Callable[[str, int], None],
        turns: Turns,
        poll: Callable[[], None],
    ) -> None:
        self._kept = kept
        self._carry_out = carry_out
        self._turns = turns
        self._poll = poll

    def start(self) -> None:
        for attempt in self._kept.values():
            if attempt.state == "running":
                attempt.state = "enqueued"
        self._turns.begin("engine", self._hand_out)

    def enqueue(self, promotion: str, attempt: int, *, service: str, sequence: int) -> None:
        self._kept.setdefault((promotion, attempt), Kept(service, sequence))

    def live(self) -> set[tuple[str, int]]:
        return {key for key, attempt in self._kept.items() if attempt.state != "ended"}

    def step(self, name: str, do: Callable[[], Any]) -> Any:  # noqa: ANN401 - JSON
        actor = self._turns.now
        assert actor is not None
        promotion, _, number = actor.name.rpartition(".")
        done = self._kept[promotion, int(number)].done
        if name not in done:
            result = json.dumps(do())
            self._turns.here()
            done[name] = json.loads(result)
        return done[name]

    def forget(self) -> None:
        for key in [key for key, attempt in self._kept.items() if attempt.state == "ended"]:
            del self._kept[key]

    def stop(self) -> None:
        """Nothing is to be let go of: whoever ends the process ends its turns."""

    def _hand_out(self) -> None:
        while True:
            for service in sorted({each.service for each in self._kept.values()}):
                self._next(service)
            self._poll()

    def _next(self, service: str) -> None:
        of = {key: each for key, each in self._kept.items() if each.service == service}
        if any(each.state == "running" for each in of.values()):
            return
        waiting = [key for key, each in of.items() if each.state == "enqueued"]
        if waiting:
            key = min(waiting, key=lambda each: of[each].sequence)
            of[key].state = "running"
            self._turns.begin(f"{key[0]}.{key[1]}", lambda: self._run(key))

    def _run(self, key: tuple[str, int]) -> None:
        with suppress(Exception):  # it has ended without saying so: the worker finds that
            self._carry_out(*key)
        self._kept[key].state = "ended"
