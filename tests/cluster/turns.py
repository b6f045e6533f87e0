"""Who may disturb whom: tests share a cluster, but one that stops a part of it is alone."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Be in the cluster with others, or without; processes that wait to be alone go first."""
    with (folder / "door").open("wb") as door, (folder / "inside").open("wb") as inside:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(inside, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(door, fcntl.LOCK_UN)
        yield  # both files are closed then, and the kernel lets go of them also after a kill


@contextmanager
def use(users: Path) -> Iterator[None]:
    """Count as a user of something, until the end or a kill."""
    with users.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def unused(users: Path) -> bool:
    """Tell whether nobody counts as a user now."""
    with users.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
