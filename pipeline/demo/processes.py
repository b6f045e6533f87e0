"""The demo's child processes: each with a log of its own, and none left behind."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

_TAIL = 12


class Child:
    """One process and whatever it starts, ended together.

    It has a session of its own, so that Ctrl-C on the terminal reaches the demo alone, which then
    ends its children in order.

    Parameters
    ----------
    name
        What people call it.
    argv
        The command.
    folder
        Where it runs, and where its log ``<name>.log`` lies.
    more
        Environment variables beside :func:`environment`.
    talks
        Whether its standard input and output are pipes; else it prints into its log.

    """

    def __init__(
        self,
        name: str,
        argv: list[str],
        folder: Path,
        more: Mapping[str, str] | None = None,
        *,
        talks: bool = False,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                argv,
                cwd=folder,
                env={**environment(), **(more or {})},
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else log,
                stderr=log,
                start_new_session=True,
            )

    def say(self, line: bytes) -> None:
        """Write a line on its standard input."""
        pipe = _pipe(self._process.stdin)
        pipe.write(line + b"\n")
        pipe.flush()

    def hear(self) -> bytes:
        """Read a line from its standard output; nothing once it has ended."""
        return _pipe(self._process.stdout).readline()

    def ended(self) -> bool:
        """Tell whether it runs no more."""
        return self._process.poll() is not None

    def stop(self, *, within: float = 10.0) -> None:
        """Ask it to end, and see to it that it and all that it started has, in seconds."""
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=within)
        self._signal(signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


def tail(log: Path) -> str:
    """Read the last lines of a log, for the person who must know why."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-_TAIL:])


def environment() -> dict[str, str]:
    """Give children this environment without the user's own MLflow or Laurel in it.

    Only ``LAUREL_REGISTRY`` stays, so that the demo can be seen with a real registry. Loopback goes
    past any proxy; packages are still found as the user set it up.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MLFLOW_", "LAUREL_")) or name.startswith("LAUREL_REGISTRY")
    }
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(filter(None, [kept.get(name), "127.0.0.1", "localhost"]))
    return kept


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise AssertionError("only a child that talks has pipes")
    return stream
