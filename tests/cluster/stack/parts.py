"""The processes of a cluster: each has a name, a record on disk and a log.

Whoever reads the records can go on with them: nothing about a process is known only to the one
that started it. A record counts as long as a process with its number and its start time lives.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.waiting import until

_LAUNCH = Path(__file__).with_name("launch.py")
_SAID = 1500


class ClusterError(Exception):
    """The cluster cannot be had, or has lost a part; the message says which, and where to look."""


@dataclass(frozen=True)
class Parts:
    """The processes below a folder, in the control groups whose ``tasks`` files are given.

    All of them have a small environment, and what else is given.
    """

    folder: Path
    tasks: Sequence[Path] = field(default=())
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        """Start a process that belongs to nobody; come back when it has begun."""
        self._records.mkdir(parents=True, exist_ok=True)
        self.log(name).parent.mkdir(parents=True, exist_ok=True)
        self._launch(
            {
                "name": name,
                "command": list(command),
                "environment": {
                    **_environment(self.folder),
                    **self.environment,
                    **(environment or {}),
                },
                "record": str(self._records / name),
                "log": str(self.log(name)),
                "tasks": [str(path) for path in self.tasks],
            }
        )

    def start_again(self, name: str) -> None:
        """Start a process as it was started before; it must have ended."""
        if self.alive(name):
            raise ClusterError(f"{name} still runs")
        self._launch(self._record(name))

    def names(self) -> list[str]:
        """Name every process that was started, in that order."""
        records = [path for path in self._records.glob("*") if path.suffix != ".new"]
        return [path.name for path in sorted(records, key=lambda path: path.stat().st_mtime_ns)]

    def alive(self, name: str) -> bool:
        """Tell whether the process runs; one that ended and waits to be reaped does not."""
        with suppress(FileNotFoundError):
            record = self._record(name)
            return _started(record["pid"]) == record["started"]
        return False

    def ended(self) -> list[str]:
        """Name the processes that should run and do not."""
        return [name for name in self.names() if not self.alive(name)]

    def pid(self, name: str) -> int:
        """Tell the number of a process that runs."""
        if not self.alive(name):
            raise ClusterError(f"{name} does not run: {self.last_words(name)}")
        return int(self._record(name)["pid"])

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process that runs."""
        os.kill(self.pid(name), number)

    def stop(self, *names: str, patience: float = 3.0) -> None:
        """Ask processes to end, kill those that do not in time, and forget them."""
        for name in names:
            with suppress(ClusterError, ProcessLookupError):
                self.signal(name, signal.SIGTERM)
                self.signal(name, signal.SIGCONT)  # one that was stopped cannot hear
        with suppress(AssertionError):  # those that do not end are killed
            until(lambda: not any(map(self.alive, names)), "their end", patience)
        for name in names:
            self.kill(name)
            (self._records / name).unlink(missing_ok=True)

    def kill(self, name: str) -> None:
        """Kill a process and wait until it is gone; its record stays."""
        with suppress(ClusterError, ProcessLookupError):
            self.signal(name, signal.SIGKILL)
        until(lambda: not self.alive(name), f"the end of {name}")

    def wait(
        self, what: str, ready: Callable[[], object], *names: str, patience: float = 180
    ) -> None:
        """Wait for something that processes bring about; fail at once when one of them ends."""

        def there() -> bool:
            if ready():
                return True
            for name in names:
                if not self.alive(name):
                    raise ClusterError(f"{name} ended: {self.last_words(name)}")
            return False

        try:
            until(there, what, patience)
        except AssertionError:
            logs = self.folder / "logs"
            raise ClusterError(f"no {what} after {patience:.0f} s; logs: {logs}") from None

    def log(self, name: str) -> Path:
        """Say where a process writes."""
        return self.folder / "logs" / f"{name}.log"

    def last_words(self, name: str) -> str:
        """Quote the end of a log."""
        with suppress(FileNotFoundError):
            return self.log(name).read_text(errors="replace")[-_SAID:]
        return "it wrote nothing"

    @property
    def _records(self) -> Path:
        return self.folder / "parts"

    def _record(self, name: str) -> dict[str, str]:
        record: dict[str, str] = json.loads((self._records / name).read_bytes())
        return record

    def _launch(self, told: Mapping[str, object]) -> None:
        launched = subprocess.run(
            [sys.executable, "-I", "-S", str(_LAUNCH)],
            check=True,
            input=json.dumps(told),
            stdout=subprocess.PIPE,
            text=True,
        )
        if launched.stdout:
            raise ClusterError(f"{told['name']} could not be started: {launched.stdout.strip()}")


def _environment(folder: Path) -> dict[str, str]:
    """Give processes nothing of ours but the path: no proxies, no credentials."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LC_ALL": "C.UTF-8"}


def _started(pid: object) -> str | None:
    """Tell when a process began; ``None`` where it has ended, with all of its threads.

    The first thread may be gone while another still holds the port that it listened on.
    """
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        threads = len(list(Path(f"/proc/{pid}/task").iterdir()))
        return fields[19] if fields[0] not in "ZX" or threads > 1 else None
    return None
