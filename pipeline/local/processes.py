"""Processes that outlive Laurel: started through ``launch.py``, found again by their records."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self, cast

from pipeline.errors import PermanentError

SANDBOX_USER = 65532
MOUNT_POINTS = ("dev", "proc", "tmp")
_SCRIPT = Path(__file__).with_name("launch.py")
_END_MILLISECONDS = 10_000
_ANSWER_LIMIT = 65536
_CONFINED = {"CORE": 0, "FSIZE": 1 << 30, "NOFILE": 65536, "NPROC": 4096}  # FSIZE: of its output
_UNSAID: dict[str, object] = {"record": None, "notes": {}, "tied": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to exec, and in what surroundings.

    Parameters
    ----------
    argv, env, cwd
        As execve and chdir take them; with a ``root`` they are paths in it. ``env`` is everything
        that the process gets: nothing of Laurel's environment is inherited.
    output
        The file that its standard output and error are appended to.
    root
        The folder that becomes its file system; ``None``: the host's, for Laurel's own Envoy, and
        for models only where no isolation can be had.
    confined
        Whether resource limits apply: always for model servers.

    """

    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"
    output: Path = Path("/dev/null")
    root: Path | None = None
    confined: bool = True


@dataclass(frozen=True, slots=True)
class Process:
    """A process by pid and start time (ticks since boot), which no other ever shares in one boot.

    ``at`` is when it was started, in seconds since the epoch; ``notes`` is what its starter wrote
    down with it.
    """

    pid: int
    start: int
    boot: str
    at: float
    notes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def recorded(cls, record: Path) -> Self | None:
        """Read a record; ``None`` where there is none that can be used."""
        try:
            content = json.loads(record.read_bytes())
            known = {key: content.pop(key) for key in ("pid", "start", "boot", "at")}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return cls(**known, notes=content)

    @classmethod
    def this(cls) -> Self:
        """Name the process that asks."""
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        return cls(os.getpid(), int(fields[19]), _boot_id(), time.time())

    def alive(self) -> bool:
        """Whether it still runs; a zombie does not, nor does another process with its pid."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            return False
        running = fields[0] not in {"Z", "X"} and int(fields[19]) == self.start
        return running and self.boot == _boot_id()

    def end(self) -> None:
        """Kill it and all of its session; return when it is gone.

        Whoever ends a server has already taken its requests away, so nothing is left to drain.
        """
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive():  # asked after opening: the handle now means this very process
                os.killpg(self.pid, signal.SIGKILL)
                gone = select.poll()
                gone.register(handle, select.POLLIN)
                gone.poll(_END_MILLISECONDS)
        finally:
            os.close(handle)


def start(
    command: Command,
    *,
    record: Path,
    notes: dict[str, Any] | None = None,
    listener: socket.socket | None = None,
) -> None:
    """Start a process that outlives this one, its record written before its first instruction.

    :meth:`Process.recorded` finds it again. ``listener`` becomes its descriptor 3; the copy in this
    process stays open and is the caller's.

    Raises
    ------
    PermanentError
        Where it could not be confined or executed; the message has the system call's answer.

    """
    with _launched(command, listener, record=str(record), notes=notes or {}):
        pass


@contextmanager
def tied(
    command: Command, *, listener: socket.socket | None = None
) -> Iterator[Callable[[], bool]]:
    """Run a process that ends with the context, or with this process, however that ends.

    Yields a function that tells whether it still runs. Raises as :func:`start` does.
    """
    with _launched(command, listener, tied=True) as launcher:
        yield lambda: launcher.poll() is None


def why_no_isolation() -> str | None:
    """Try a sandbox; return the system's reason where this machine gives none."""
    with tempfile.TemporaryDirectory() as root:
        for folder in MOUNT_POINTS:
            Path(root, folder).mkdir()
        Path(root).chmod(0o755)
        try:
            with _launched(Command(argv=(), root=Path(root)), None):
                return None
        except PermanentError as error:
            return error.hint


@contextmanager
def _launched(
    command: Command, listener: socket.socket | None, **more: object
) -> Iterator[subprocess.Popen[bytes]]:
    specification = {
        "argv": command.argv,
        "env": command.env,
        "cwd": command.cwd,
        "output": str(command.output),
        "root": str(command.root) if command.root else None,
        "user": SANDBOX_USER,
        "limits": _CONFINED if command.confined else {},
        "listener": listener.fileno() if listener else None,
    }
    with subprocess.Popen(
        [sys.executable, "-I", "-S", str(_SCRIPT)],
        env={},
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[listener.fileno()] if listener else [],
    ) as launcher:
        stdin, stdout = cast("IO[bytes]", launcher.stdin), cast("IO[bytes]", launcher.stdout)
        with stdin:
            stdin.write(json.dumps(_UNSAID | specification | more).encode() + b"\n")
            stdin.flush()
            answer = stdout.read(_ANSWER_LIMIT)  # ends when the process has execed
            if answer:
                raise PermanentError(
                    "start", command.argv[0] if command.argv else "a sandbox", _hint(answer)
                )
            yield launcher


def _hint(answer: bytes) -> str:
    return answer.decode(errors="replace").strip()


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
