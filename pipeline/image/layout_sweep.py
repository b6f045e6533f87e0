"""Which blobs of an image layout nothing names any more, and how one is taken away safely.

Whoever pushes an image stores its blobs first, and finds some there already. So a blob is taken
only when it is old, and finding one makes it young (:func:`used`): moving it aside, looking again
and only then removing it leaves no moment in which somebody relies on what goes.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError, InvalidReferenceError
from pipeline.image.blob_file import disk
from pipeline.image.canonical import LIMIT, read_object

_FRESH = 3600.0  # seconds; a blob is made young at most so often: most looks write nothing


@dataclass(frozen=True, slots=True)
class Swept:
    """How many blobs went, and their bytes."""

    blobs: int = 0
    size: int = 0


def used(path: Path) -> os.stat_result | None:
    """Look for a blob and make it young; ``None`` where there is none."""
    with suppress(FileNotFoundError):
        found = path.stat()
        if time.time() - found.st_mtime > _FRESH:
            _renew(path)
        return found
    return None


def named_by(index: bytes, blobs: Path, *, limit: int) -> set[str]:
    """List the hex digits of every digest that a layout's index names, and what these name.

    Every text that looks like a digest counts, wherever it stands: too much is kept rather than
    too little.

    Raises
    ------
    CorruptedError
        Where a manifest cannot be read: then nobody knows what it names.

    """
    said = read_object(index, "an image layout's index", limit)
    named = set(_digests(said))
    waiting, seen = list(_manifests(said)), set[str]()
    while waiting:
        name = waiting.pop()
        content = None if name in seen else _read(blobs / name)
        seen.add(name)
        if content is not None:
            manifest = read_object(content, "a manifest of an image layout")
            named.update(_digests(manifest))
            waiting.extend(_manifests(manifest))
    return named


def sweep_blobs(blobs: Path, named: set[str], *, aside: Path, older_than: float) -> Swept:
    """Remove every blob that is not named and older than so many seconds."""
    count = size = 0
    with disk("sweep an image layout", blobs):
        for entry in os.scandir(blobs):
            if entry.name not in named and _old(Path(entry.path), older_than):
                taken = _take(Path(entry.path), aside / f"swept-{entry.name}", older_than)
                count += taken is not None
                size += taken or 0
    return Swept(count, size)


def _take(path: Path, aside: Path, older_than: float) -> int | None:
    """Move a blob aside; put it back where it was found meanwhile, else remove it."""
    with suppress(FileNotFoundError):  # another process was faster
        path.rename(aside)
        size = aside.stat().st_size
        if _old(aside, older_than):
            aside.unlink()
            return size
        aside.rename(path)
    return None


def _old(path: Path, older_than: float) -> bool:
    with suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime > older_than
    return False


def _renew(path: Path) -> None:
    try:
        os.utime(path)
    except FileNotFoundError:
        raise
    except OSError:  # who may only read relies on nothing, and on a read-only disk nothing goes
        return


def _read(path: Path) -> bytes | None:
    """Read a manifest; ``None`` where it is not there: a layout may hold part of an index."""
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        hint = f"{error.strerror}: nothing is swept while it cannot be read"
        raise CorruptedError("read a manifest", str(path), hint) from error
    return content


def _manifests(said: dict[str, Any]) -> Iterator[str]:
    listed = said.get("manifests")
    yield from _digests(listed if isinstance(listed, list) else [])


def _digests(said: object) -> Iterator[str]:
    """List the hex digits of every digest in a JSON value."""
    waiting = [said]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            with suppress(InvalidReferenceError):
                yield Digest(value).hex
