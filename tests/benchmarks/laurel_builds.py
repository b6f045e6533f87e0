"""Laurel's side of the benchmark: its build step as a command, and in a worker that runs."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.benchmarks.image_models import Model
from tests.benchmarks.image_peers import Contender, PeerError

_ROOT = Path(__file__).parents[2]
Locate = Callable[[Model], str]
"""Puts a model's files where Laurel shall read them, and returns the artifact URI."""


@dataclass
class Builds:
    """Runs the build step; remembers what each build said of itself.

    Parameters
    ----------
    cache
        Where is kept what a worker keeps.
    host, base
        The registry, and what images stand on.
    variables
        What the environment holds beside this process's.

    """

    cache: Path
    host: str
    base: str
    variables: dict[str, str] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)

    def as_command(
        self, name: str, repository: str, locate: Locate = lambda model: str(model.folder)
    ) -> Contender:
        """Build in a fresh process; all of it is measured, start and end included."""

        def push(model: Model) -> float:
            line = _line(locate(model), repository)
            started = time.perf_counter()
            with self._process() as process:
                said, _ = process.communicate(line)
            seconds = time.perf_counter() - started
            if process.returncode:
                raise PeerError(f"{name} ended with {process.returncode}")
            self.reports.append(json.loads(said))
            return seconds

        return Contender(name, push)

    @contextmanager
    def in_worker(self, name: str, repository: str) -> Iterator[Contender]:
        """Build in a process that runs already; only the step is measured."""
        with self._process() as process:

            def push(model: Model) -> float:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(_line(str(model.folder), repository))
                process.stdin.flush()
                if not (said := process.stdout.readline()):
                    raise PeerError(f"{name} ended with {process.wait()}")
                self.reports.append(json.loads(said))
                seconds: float = self.reports[-1]["seconds"]
                return seconds

            try:
                yield Contender(name, push)
            finally:
                assert process.stdin is not None
                process.stdin.close()

    def counted(self, contender: Contender) -> list[dict[str, Any]]:
        """Give what was said in the rounds that count, which were the last."""
        return self.reports[-len(contender.seconds) :]

    def step_alone(self, contender: Contender) -> Contender:
        """Take the step's own share of the rounds: in a worker, starting a process is no part."""
        seconds = [report["seconds"] for report in self.counted(contender)]
        return replace(contender, name=f"{contender.name}: the step alone", seconds=seconds)

    @property
    def image(self) -> str:
        """Name the newest image, by digest."""
        named: str = self.reports[-1]["image"]
        return named

    def _process(self) -> subprocess.Popen[str]:
        arguments = [str(self.cache), self.host, self.base]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.build_process", *arguments],
            cwd=_ROOT,
            env={**os.environ, **self.variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


def _line(uri: str, repository: str) -> str:
    return json.dumps({"uri": uri, "repository": repository}) + "\n"
