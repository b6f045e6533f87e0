"""A registry that keeps what it gets in memory where there is room for it, else on disk."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.registries import Registry, running_plain

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
_SMALL = 256 << 10  # bytes; configurations and manifests


@dataclass(frozen=True)
class Place:
    """A running distribution, and the one who removes what it need not keep.

    ``storage`` says on what the registry's bytes lie.
    """

    registry: Registry
    storage: str
    kept: set[Path]

    def keep(self) -> None:
        """Keep what is there now: bases and environments, which everybody knows."""
        self.kept.update(self._blobs())

    def forget(self) -> None:
        """Remove every large blob that came since: its memory is needed for the next one."""
        for blob in self._blobs():
            if blob not in self.kept and blob.stat().st_size > _SMALL:
                blob.unlink()

    def _blobs(self) -> list[Path]:
        return list(self.registry.folder.glob("data/docker/registry/v2/blobs/sha256/*/*/data"))


@contextmanager
def place(folder: Path, room: int) -> Iterator[Place]:
    """Start a distribution that has ``room`` bytes for what is pushed at one time."""
    chosen = _with_room(folder, room)
    with (
        tempfile.TemporaryDirectory(dir=chosen, prefix="laurel-bench-") as storage,
        running_plain(Path(storage)) as registry,
    ):
        yield Place(registry, "tmpfs" if chosen == _SHARED_MEMORY else "disk", set())


def _with_room(folder: Path, room: int) -> Path:
    """Choose shared memory while half of what is free stays free: caches need it, too."""
    in_memory = _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free
    free = min(in_memory, _available())
    return _SHARED_MEMORY if free > 2 * room else folder


def _available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0
