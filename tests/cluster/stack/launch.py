"""Orphan one process, put it into control groups and exec it: run as ``python -I -S launch.py``.

It is a fresh small interpreter, because forking one with threads is not safe. The process belongs
to nobody: the Envoy from PyPI asks the kernel to end it with its parent, and a cluster outlives
whoever brought it up. Its record is on disk before its first instruction. What it is told is one
line of JSON on standard input; what went wrong is said on standard output, which ends with exec.
"""

import json
import os
import sys
from typing import Any


def main() -> None:
    """Fork twice; the first process ends, so that the second has init for a parent."""
    told = json.loads(sys.stdin.readline())
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    try:
        become(told)
    except OSError as error:
        print(f"{error.strerror}: {error.filename}", flush=True)  # noqa: T201 - the launcher's answer
        os._exit(127)


def become(told: dict[str, Any]) -> None:
    """Exec what was told."""
    for tasks in told["tasks"]:
        with open(tasks, "w") as file:  # noqa: PTH123 - pathlib takes 10 ms to import
            file.write("0")
    with open("/proc/self/stat") as file:  # noqa: PTH123 - no pathlib: it starts at once
        started = file.read().rpartition(")")[2].split()[19]
    record = {**told, "pid": os.getpid(), "started": started}
    with open(told["record"] + ".new", "w") as file:  # noqa: PTH123 - no pathlib: it starts at once
        json.dump(record, file)
    os.rename(told["record"] + ".new", told["record"])  # noqa: PTH104 - as above
    log = os.open(told["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    answer = os.dup(1)  # not inherited, so that it is closed by exec
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 2)):
        os.dup2(source, target)
    os.dup2(log, 1)
    try:
        os.execve(told["command"][0], told["command"], told["environment"])  # noqa: S606 - no shell, on purpose
    except OSError as error:
        os.write(answer, f"{error.strerror}: {told['command'][0]}\n".encode())
        os._exit(127)


if __name__ == "__main__":
    main()
