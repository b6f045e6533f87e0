"""Run a program for which what it changes in ``/etc``, ``/opt`` and ``/run`` is not this machine's.

``unshare --mount … python private_mounts.py SCRATCH PROGRAM …``: container engines write there
whatever they are told. What they mount and write goes with the last process of the namespace.
"""

import os
import subprocess
import sys
from pathlib import Path

_KEPT = ("etc", "opt", "run")


def _mount(kind: str, target: Path, options: str) -> None:
    subprocess.run(["mount", "-t", kind, "-o", options, kind, target], check=True)  # noqa: S607 - util-linux


def main() -> None:
    """Lay a memory file system over each folder, then become the program."""
    scratch, *command = sys.argv[1:]
    _mount("tmpfs", Path(scratch), "mode=700")
    for name in _KEPT:
        upper, work = Path(scratch, name), Path(scratch, f"{name}.work")
        upper.mkdir()
        work.mkdir()
        target = Path("/", name)
        _mount("overlay", target, f"lowerdir={target},upperdir={upper},workdir={work}")
    os.execvp(command[0], command)  # noqa: S606 - no shell, on purpose


if __name__ == "__main__":
    main()
