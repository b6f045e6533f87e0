"""One control group for all processes of a cluster: none can leave it, so none outlives it."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tests.servers.waiting import until

_TOP = Path("/sys/fs/cgroup")
_OURS = "parts"


def why_not() -> str | None:
    """Say why this machine lends us no control group, ``None`` where it does."""
    tops = list(_hierarchies())
    if not tops:
        return f"needs control groups at {_TOP}"
    shut = [str(top) for top in tops if not os.access(top, os.W_OK) or _read_only(top)]
    return f"needs to make control groups, and {shut[0]} is read-only" if shut else None


def make(name: str) -> list[Path]:
    """Make a group; return the files that take the numbers of processes of ours.

    The node's agent makes a group beside ours for its pods, and wants to find itself at one
    place in all hierarchies.
    """
    tasks = []
    for top in _hierarchies():
        for parent, folder in ((top, top / name), (top / name, top / name / _OURS)):
            _delegate(parent)
            folder.mkdir(exist_ok=True)
            for said in ("cpuset.cpus", "cpuset.mems"):  # of version 1: empty, and then nobody runs
                if (parent / said).exists() and not (folder / said).read_text().strip():
                    (folder / said).write_text((parent / said).read_text())
        tasks.append(top / name / _OURS / "cgroup.procs")
    return tasks


def processes(name: str) -> set[int]:
    """Find every process in a group, those of pods included."""
    found: set[int] = set()
    for top in _hierarchies():
        for listing in (top / name).rglob("cgroup.procs"):
            with suppress(OSError):  # the group ends as we look
                found.update(map(int, listing.read_text().split()))
    return found


def end(name: str) -> None:
    """Kill what is in a group, and remove it."""

    def empty() -> bool:
        found = processes(name)
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not found

    until(empty, f"the end of what is in {name}")
    for top in _hierarchies():
        for folder, _, _ in os.walk(top / name, topdown=False):
            _remove(Path(folder))


def left(name: str) -> list[Path]:
    """Name what there is of a group."""
    return [top / name for top in _hierarchies() if (top / name).exists()]


def _remove(folder: Path) -> None:
    """Remove a group whose processes are dead; the kernel may need a moment to believe it."""

    def gone() -> bool:
        with suppress(OSError):
            folder.rmdir()
        return not folder.exists()

    until(gone, f"the end of {folder}")


def _hierarchies() -> Iterator[Path]:
    """Find where groups are made: one place in version 2, one for each controller in version 1."""
    if (_TOP / "cgroup.controllers").exists():
        yield _TOP
        return
    for top in sorted(_TOP.glob("*")):
        if not top.is_symlink() and (top / "cgroup.procs").exists():
            yield top


def _delegate(group: Path) -> None:
    """Hand every controller down, where that is not by itself so (version 2)."""
    if (controllers := group / "cgroup.controllers").exists():
        for controller in controllers.read_text().split():
            with suppress(OSError):  # in use by somebody who lets nobody share it
                (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _read_only(top: Path) -> bool:
    return bool(os.statvfs(top).f_flag & os.ST_RDONLY)
