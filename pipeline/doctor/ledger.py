"""The ledger: there, of this Laurel's schema, its owner's alone, with room to write."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pipeline.doctor.finding import Finding, bad, ok, warn

CHECK, ROOM = "ledger", "room"
_SCARCE, _NONE = 2_000_000_000, 200_000_000
_OTHERS = 0o077


def examine(path: Path, current: Callable[[], bool]) -> Iterator[Finding]:
    """Look at the database's file, then at its schema; ``current`` opens it."""
    folder = path.parent
    if not path.exists():
        if folder.is_dir() and not os.access(folder, os.W_OK):
            yield bad(
                CHECK, f"{folder} cannot be written", f"chown it to who runs Laurel: {folder}"
            )
            return
        yield warn(CHECK, f"{path} is not there yet", "laurel migrate makes it, and so does `up`")
        return
    mode = path.stat().st_mode & 0o777
    if mode & _OTHERS:
        yield bad(CHECK, f"others of this machine may use {path} ({mode:04o})", f"chmod 600 {path}")
    elif not os.access(path, os.W_OK) or not os.access(folder, os.W_OK):
        yield bad(CHECK, f"{path} cannot be written", f"chown it to who runs Laurel: {path}")
    if not current():
        yield bad(
            CHECK,
            f"{path.name} has not the schema of this Laurel",
            "laurel migrate; where it was written by a newer Laurel, run that one",
        )
    elif not mode & _OTHERS:
        yield ok(CHECK, f"{path.name} has the newest schema")


def _free(path: Path) -> int:
    return shutil.disk_usage(path).free


def examine_room(
    folders: Mapping[str, Path], free: Callable[[Path], int] = _free
) -> Iterator[Finding]:
    """See how much room there is where Laurel writes; one filesystem is told once."""
    told: set[int] = set()
    for what, folder in folders.items():
        there = next(each for each in (folder, *folder.parents) if each.exists())
        device = there.stat().st_dev
        if device in told:
            continue
        told.add(device)
        yield _room(what, there, free(there))


def _room(what: str, folder: Path, free: int) -> Finding:
    check, said = f"{ROOM} {what}", f"{free / 1e9:.1f} GB are free at {folder}"
    if free < _NONE:
        return bad(check, f"only {said}", "free some: laurel gc --apply, or a lower cache_limit")
    if free < _SCARCE:
        return warn(check, said, "free some: laurel gc --apply, or a lower worker.cache_limit")
    return ok(check, said)
