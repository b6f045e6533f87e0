"""What every artifact store holds its listing to, and the sentences it says where it does not."""

from collections.abc import Iterable
from operator import attrgetter

from pipeline.domain.evidence import Refused, StoredFile
from pipeline.errors import CorruptedError
from pipeline.image.model_files import DEEPEST, MOST

ATTEMPTED = "read the model's files"
_NOWHERE = frozenset({"", ".", ".."})


def listed(found: Iterable[StoredFile]) -> tuple[StoredFile, ...] | Refused:
    """Take a store's listing, sorted by path; refuse one that is endless or leads elsewhere.

    It is read only as far as a model may go, so that a store without an end is left there.
    """
    files: list[StoredFile] = []
    for file in found:
        parts = file.path.split("/")
        if not _NOWHERE.isdisjoint(parts) or "\0" in file.path:
            return leads_out(file.path)
        if len(parts) - 1 > DEEPEST or len(files) == MOST:
            return too_much()
        files.append(file)
    return tuple(sorted(files, key=attrgetter("path")))


def leads_out(name: str) -> Refused:
    """Refuse a model with a file whose name is a way to somewhere else."""
    return Refused(
        f"the model's artifacts hold a file named {name[:80]!r}, "
        "which leads out of its folder: log the model again without it"
    )


def too_much() -> Refused:
    """Refuse a model of too many files or folders."""
    return Refused(
        f"the model's artifacts are deeper than {DEEPEST} folders or more than "
        f"{MOST} files: log the model with less, or pack what belongs together"
    )


def require_inside(path: str) -> None:
    """Raise ``CorruptedError`` for a path that leads out of the model's folder."""
    if not _NOWHERE.isdisjoint(path.split("/")):
        raise CorruptedError(ATTEMPTED, path, "its path leads out of the model's folder")


def other_length(file: StoredFile) -> CorruptedError:
    """Say that a file is shorter or longer than it was listed."""
    return CorruptedError(
        ATTEMPTED, file.path, f"its length is not the {file.size} bytes of the listing"
    )


def changed(file: StoredFile) -> CorruptedError:
    """Say that a file became another one between its first and its last byte."""
    return CorruptedError(
        ATTEMPTED, file.path, "it changed while it was read; promote the version again"
    )
