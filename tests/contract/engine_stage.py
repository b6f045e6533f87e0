"""A life of a durable engine after another: the real one's on a file, the fake's in turns.

``python -m tests.contract.engine_stage FOLDER PROMOTION:ATTEMPT:SERVICE:SEQUENCE…`` is a life of
the real one that goes on until it is killed.
"""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from pipeline.engine import Engine
from tests.fakes.engine import Attempts, InMemoryEngine
from tests.fakes.turns import Turns
from tests.servers import waiting
from tests.servers.unmeasured import unmeasured

ROOT = Path(__file__).parents[2]
_POLL = 0.02
_MOVES = 3000
Asked = tuple[str, int, str, int]
"""Promotion, attempt, service and sequence."""


class AnyEngine(Protocol):
    """What the worker calls."""

    def start(self) -> None:
        """Recover, and begin."""

    def enqueue(self, promotion: str, attempt: int, *, service: str, sequence: int) -> None:
        """Ask for an attempt."""

    def live(self) -> set[tuple[str, int]]:
        """List what is enqueued or running."""

    def step(self, name: str, do: Callable[[], Any]) -> Any:  # noqa: ANN401 - JSON
        """Do something once per attempt."""

    def forget(self) -> None:
        """Delete what ended."""

    def stop(self) -> None:
        """Let go."""


class Attempt:
    """What an attempt does: two steps, and a note about each thing that happens.

    One of a promotion ``wait…`` goes on in its second step when :attr:`go` is there; one of
    ``break…`` ends with an exception for as long as that is in :attr:`breaks`.
    """

    def __init__(self, folder: Path, pause: Callable[[], object]) -> None:
        self.engine: AnyEngine | None = None
        self.breaks = True
        self._folder = folder
        self._pause = pause

    def carry_out(self, promotion: str, attempt: int) -> None:
        assert self.engine is not None
        say = partial(self._note, f"{promotion}.{attempt}")
        first = self.engine.step("first", partial(say, "first"))
        self.engine.step("second", lambda: self._second(promotion, say))
        if self.breaks and promotion.startswith("break"):
            raise ValueError(promotion)
        say(f"ended after {first['did']}")

    def _second(self, promotion: str, say: Callable[[str], dict[str, str]]) -> dict[str, str]:
        said = say("second")
        while promotion.startswith("wait") and not go(self._folder).exists():
            self._pause()
        return said

    def _note(self, who: str, what: str) -> dict[str, str]:
        with (self._folder / "notes").open("a") as notes:
            notes.write(f"{who} {what}\n")
        return {"did": what}


class Stage(Protocol):
    """One engine, life after life, and what was noted in all of them."""

    folder: Path
    attempt: Attempt

    def life(self) -> Any:  # noqa: ANN401 - a context manager of an engine
        """Live until the context ends, and stop."""

    def killed(self, *asked: Asked, when: Callable[[], bool]) -> None:
        """Live a life in which this is asked for, and that is killed."""

    def until(self, condition: Callable[[], bool]) -> None:
        """Let everything go on until something is so."""

    def lose(self) -> None:
        """Lose the checkpoints, between two lives."""


class InTurns:
    """The fake."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.turns = Turns()
        self.attempt = Attempt(folder, self.turns.here)
        self.kept: Attempts = {}

    @contextmanager
    def life(self) -> Iterator[AnyEngine]:
        engine = InMemoryEngine(self.kept, self.attempt.carry_out, self.turns, self.turns.here)
        self.attempt.engine = engine
        engine.start()
        try:
            yield engine
        finally:
            engine.stop()
            self.turns.kill()

    def killed(self, *asked: Asked, when: Callable[[], bool]) -> None:
        with self.life() as engine:
            for promotion, attempt, service, sequence in asked:
                engine.enqueue(promotion, attempt, service=service, sequence=sequence)
            self.until(when)

    def until(self, condition: Callable[[], bool]) -> None:
        for move in range(_MOVES):
            if condition():
                return
            self.turns.go(self.turns.actors[move % len(self.turns.actors)])
        raise AssertionError((self.folder / "notes").read_text())

    def lose(self) -> None:
        self.kept.clear()


class OnFile:
    """The real one; lives that are killed are other processes'."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.attempt = Attempt(folder, partial(threading.Event().wait, _POLL))

    @contextmanager
    def life(self) -> Iterator[AnyEngine]:
        engine = Engine(self.folder / "engine.db", self.attempt.carry_out, poll=_POLL)
        self.attempt.engine = engine
        engine.start()
        try:
            yield engine
        finally:
            engine.stop()

    def killed(self, *asked: Asked, when: Callable[[], bool]) -> None:
        words = [":".join(map(str, each)) for each in asked]
        command = [sys.executable, "-m", "tests.contract.engine_stage", str(self.folder), *words]
        log = self.folder / "log"
        with (
            log.open("w") as said,
            subprocess.Popen(command, cwd=ROOT, env=unmeasured(), stderr=said) as process,
        ):
            try:
                self.until(lambda: process.poll() is not None or when())
            finally:
                process.kill()
        assert process.returncode == -signal.SIGKILL, log.read_text()

    def until(self, condition: Callable[[], bool]) -> None:
        waiting.until(condition, "what the engine does")

    def lose(self) -> None:
        for file in self.folder.glob("engine.db*"):
            file.unlink()


def go(folder: Path) -> Path:
    """Name the file that lets whoever waits go on."""
    return folder / "go"


def live(folder: Path, *asked: str) -> None:
    """Ask for attempts, and carry them out until the process is killed."""
    with OnFile(folder).life() as engine:
        for promotion, attempt, service, sequence in (each.split(":") for each in asked):
            engine.enqueue(promotion, int(attempt), service=service, sequence=int(sequence))
        signal.pause()


if __name__ == "__main__":
    live(Path(sys.argv[1]), *sys.argv[2:])
