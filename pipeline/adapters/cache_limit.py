"""Keeps the local caches within a size: what was used least recently goes first.

Layers and unpacked images can be had again, for time. What a server runs on never goes, nor what
somebody works with or used in the last hour, nor bytes that a registry on the same disk shares:
taking those would free nothing.
"""

import fcntl
import logging
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline.image.blob_file import disk
from pipeline.local.users import trees_in_use

_log = logging.getLogger(__name__)
_RECENT = 3600.0  # seconds; whoever used it may be about to start a server on it
_ABANDONED = 86400.0  # seconds; nobody works so long in one folder without touching it
_BLOCK = 512  # bytes of a block, as stat counts them
_SMOKES = ("laurel-smoke-*", "laurel-mlflow-*")  # left in the temporary folder by a kill -9


@dataclass(frozen=True, slots=True)
class Tidied:
    """Bytes that the caches took before, and those that went."""

    before: int
    freed: int

    @property
    def after(self) -> int:
        """Bytes that they take now."""
        return self.before - self.freed


@dataclass(frozen=True, slots=True)
class _Kept:
    """One thing in a cache: since when nobody used it, what it takes, how it goes."""

    used: float
    size: int
    remove: Callable[[], bool]


class CacheLimit:
    """Bounds the folder that every Laurel of this user shares; several may do so at once.

    Parameters
    ----------
    root
        The cache folder, with ``layers`` and ``unpacked`` in it.
    limit
        How many bytes both together may take.
    temporary
        Where smoke tests work.

    """

    def __init__(self, root: Path, limit: int, *, temporary: Path | None = None) -> None:
        self._root = root
        self._layers = root / "layers"
        self._unpacked = (root / "unpacked").resolve()
        self._limit = limit
        self._temporary = temporary or Path(tempfile.gettempdir())

    def tidy(self) -> Tidied:
        """Remove what was left behind, then what was used least recently, down to the limit."""
        with disk("tidy the cache", self._root):
            self._remove_left()
            kept = sorted((*self._blobs(), *self._trees()), key=lambda each: each.used)
            before = sum(each.size for each in kept)
            freed = 0
            for each in kept:
                if before - freed <= self._limit:
                    break
                if each.size and time.time() - each.used > _RECENT and each.remove():
                    freed += each.size
        if freed:
            _log.info("the cache took %d bytes, %d of them went", before, freed)
        return Tidied(before, freed)

    def _blobs(self) -> Iterator[_Kept]:
        """List layers; the lock of each key that stands for one tells when it was used."""
        keys: dict[str, list[Path]] = {}
        for key in _files(self._layers / "keys"):
            if key.suffix != ".lock":
                with suppress(OSError, UnicodeDecodeError):
                    name = key.read_text("ascii").removeprefix("sha256:")
                    keys.setdefault(name, []).append(key.with_name(f"{key.name}.lock"))
        for path in _files(self._layers / "blobs" / "sha256"):
            with suppress(FileNotFoundError):
                locks, found = keys.get(path.name, []), path.stat()
                used = max([found.st_mtime, *(_modified(lock) for lock in locks)])
                size = found.st_blocks * _BLOCK if found.st_nlink == 1 else 0
                yield _Kept(used, size, partial(_remove_blob, path, locks, used))

    def _trees(self) -> Iterator[_Kept]:
        """List unpacked images that no server runs on; where that is not known, none."""
        in_use = trees_in_use(self._unpacked)
        if in_use is None:
            _log.warning("unpacked images stay: what some servers run on is not known")
            return
        for tree in _folders(self._unpacked / "trees"):
            if tree not in in_use:
                yield _Kept(_modified(tree), _share(tree), partial(self._evict, tree))

    def _evict(self, tree: Path) -> bool:
        """Take a tree aside under the lock of those who unpack; put it back where it was used."""
        aside = self._unpacked / f"evicted-{tree.name}"
        used = _modified(tree)
        with _locked(self._unpacked / "lock") as locked:
            in_use = trees_in_use(self._unpacked)
            if not locked or in_use is None or tree in in_use or not tree.exists():
                return False
            tree.rename(aside)
            if _modified(aside) != used:
                aside.rename(tree)
                return False
        _remove_tree(aside)
        return True

    def _remove_left(self) -> None:
        """Remove what killed processes left, and locks of requirements that are out of date."""
        left = _folders(self._layers / "work")
        for pattern in _SMOKES:
            left += self._temporary.glob(pattern)
        for folder in filter(_abandoned, left):
            _remove_tree(folder)
        for evicted in list(self._unpacked.glob("evicted-*")):
            with _locked(self._unpacked / "lock") as locked:
                if locked:
                    _remove_tree(evicted)
        for lock in _files(self._root / "locks"):
            if time.time() - _modified(lock) > 2 * _ABANDONED:
                lock.unlink(missing_ok=True)


def _remove_blob(path: Path, locks: list[Path], used: float) -> bool:
    """Remove a layer, unless somebody works with one of its keys, or did meanwhile."""
    with ExitStack() as stack:
        for lock in locks:
            if not stack.enter_context(_locked(lock)) or _modified(lock) > used:
                return False
        path.unlink(missing_ok=True)
        return True


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock; tell whether it was free, and wait for nobody."""
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _share(tree: Path) -> int:
    """Count a tree's bytes; a file that several trees link counts in each for its share."""
    size = 0.0
    waiting = [tree]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    waiting.append(Path(entry.path))
                else:
                    size += found.st_blocks * _BLOCK / found.st_nlink
    return int(size)


def _abandoned(folder: Path) -> bool:
    """Tell whether a folder is ours and nobody's any more; a link is nobody's folder."""
    with suppress(FileNotFoundError):
        found = folder.lstat()
        old = time.time() - found.st_mtime > _ABANDONED
        return old and stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return False


def _remove_tree(folder: Path) -> None:
    """Remove a folder; images have folders that not even their owner may write."""
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        with suppress(OSError):
            place.chmod(0o700)
            with os.scandir(place) as entries:
                waiting += [Path(e.path) for e in entries if e.is_dir(follow_symlinks=False)]
    shutil.rmtree(folder, ignore_errors=True)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


def _folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
