"""A model's files as layers: each is read once, for the layer and for its own digest alike."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath

from pipeline.domain.content import File
from pipeline.domain.evidence import StoredFile
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError
from pipeline.image.canonical import canonical

PLACE = "mnt/models"  # KServe's customary path
ALONE = 64 << 20  # bytes; from here on a file is worth a layer, to be pulled and kept on its own
DEEPEST = 32  # folders below each other; Python's own tree functions recurse
MOST = 100_000  # files of one model
_NAME_LENGTH = 255  # bytes; Linux's limit
_DELETE = 127


class ModelFiles:
    """The files of one model version on their way into layers.

    Parameters
    ----------
    files
        What the store lists.
    read
        Streams one of them.
    known
        Digests that were seen before, by path: a file that has another one now is corrupted.

    """

    def __init__(
        self,
        files: tuple[StoredFile, ...],
        read: Callable[[StoredFile], Iterable[bytes]],
        known: Mapping[str, str] | None = None,
    ) -> None:
        self._files = tuple(sorted(files, key=lambda file: file.path))
        self._read = read
        self._known = known or {}
        self._digests: dict[str, Digest] = {}
        self.changed = False
        """Whether a file turned out to be another one than was listed or described."""

    def layers(self) -> tuple[tuple[File, ...], ...]:
        """Give each layer's files: the smaller ones together, then each large one."""
        together = [file for file in self._files if file.size < ALONE]
        alone = [[file] for file in self._files if file.size >= ALONE]
        return tuple(tuple(map(self._file, files)) for files in ([together, *alone]) if files)

    @property
    def digests(self) -> dict[str, Digest]:
        """The digest of every file that has been streamed."""
        return dict(self._digests)

    @property
    def artifact_digest(self) -> Digest:
        """The digest of the whole: of ``[[path, size, digest], …]`` as canonical JSON, by path."""
        listed = [[file.path, file.size, self._digests[file.path].value] for file in self._files]
        return Digest.of(canonical(listed))

    def _file(self, file: StoredFile) -> File:
        return File(f"{PLACE}/{file.path}", file.size, partial(self._hashed, file))

    def _hashed(self, file: StoredFile) -> Iterator[bytes]:
        seen, length = hashlib.sha256(), 0
        try:
            for chunk in self._read(file):
                length += len(chunk)
                if length > file.size:
                    break
                seen.update(chunk)
                yield chunk
            self._check(file, length, Digest(f"sha256:{seen.hexdigest()}"))
        except CorruptedError:
            self.changed = True
            raise

    def _check(self, file: StoredFile, length: int, digest: Digest) -> None:
        if length != file.size:
            has = f"more than {file.size}" if length > file.size else f"{length} of {file.size}"
            raise CorruptedError("read the model's files", file.path, f"it has {has} bytes")
        if self._known.get(file.path, digest.value) != digest.value:
            raise CorruptedError(
                "read the model's files", file.path, "it changed since the model was described"
            )
        self._digests[file.path] = digest


def unfit_listing(files: Iterable[StoredFile]) -> str | None:
    """Say in one clause which listed name cannot be a file in an image; ``None``: all can.

    Stores are other people's: a name may try to leave the model's folder, hide a file of a lower
    layer, or be a file and a folder at once.
    """
    paths: set[str] = set()
    for file in files:
        if why := _unfit(file.path):
            return f"the file name {file.path[:120]!r} {why}"
        if file.path in paths:
            return f"the file {file.path!r} is listed twice"
        paths.add(file.path)
    for path in sorted(paths):
        for parent in PurePosixPath(path).parents:
            if str(parent) in paths:
                return f"{str(parent)!r} is listed as a file and as a folder"
    return None


def _unfit(path: str) -> str | None:
    parts = path.split("/")
    if ".." in parts or path.startswith("/"):
        return "leads out of the model's folder"
    if "" in parts or "." in parts:
        return "has an empty part"
    if any(ord(character) < ord(" ") or ord(character) == _DELETE for character in path):
        return "holds control characters"
    if any(part.startswith(".wh.") for part in parts):
        return "means a deletion in an image layer"
    try:
        too_long = any(len(part.encode()) > _NAME_LENGTH for part in parts)
    except UnicodeEncodeError:
        return "is no Unicode text"
    return "is too long" if too_long else None
