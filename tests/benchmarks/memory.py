"""What the kernel says of this process: its peak memory, and what it wrote to disk."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@dataclass
class Written:
    """What was written while it was watched.

    Parameters
    ----------
    to_disk
        Bytes that the kernel counted for this process and the children it waited for.
    files
        Every file that this process opened to write, temporary ones that are gone included.

    """

    to_disk: int = 0
    files: list[str] = field(default_factory=list)


def peak_memory() -> int:
    """Tell the most memory that this process ever held, in bytes; a fork's parent is not in it."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


class Watch:
    """Notes files that are opened to write; there can be one in a process, and it stays."""

    def __init__(self) -> None:
        self._written: Written | None = None
        sys.addaudithook(self._hear)

    @contextmanager
    def watching(self) -> Iterator[Written]:
        """Note what is written in the block."""
        self._written = written = Written()
        before = _written_to_disk()
        try:
            yield written
        finally:
            self._written = None
            written.to_disk = _written_to_disk() - before

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if self._written is None or event != "open":
            return
        path, _, flags = arguments
        if isinstance(flags, int) and flags & _WRITING and not isinstance(path, int):
            self._written.files.append(str(path))


def _written_to_disk() -> int:
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["write_bytes"])
