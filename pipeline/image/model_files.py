"""A model's files as layers: each is read once, for the layer and for its own digest alike."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import PurePosixPath

from pipeline.domain.evidence import StoredFile
from pipeline.domain.references import Digest
from pipeline.image.canonical import canonical
from pipeline.image.tar import File, tar_stream

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

    """

    def __init__(
        self, files: tuple[StoredFile, ...], read: Callable[[StoredFile], Iterable[bytes]]
    ) -> None:
        self._files = tuple(sorted(files, key=lambda file: file.path))
        self._read = read
        self._digests: dict[str, Digest] = {}

    def layers(self) -> Iterator[Iterator[bytes]]:
        """Give each layer as a stream: the smaller files together, then each large one.

        ``CorruptedError`` comes out of a stream where a file is longer or shorter than listed.
        """
        together = [file for file in self._files if file.size < ALONE]
        if together:
            yield self._layer(together)
        for file in self._files:
            if file.size >= ALONE:
                yield self._layer([file])

    @property
    def digests(self) -> dict[str, Digest]:
        """The digest of every file that has been streamed."""
        return dict(self._digests)

    @property
    def artifact_digest(self) -> Digest:
        """The digest of the whole: of ``[[path, size, digest], …]`` as canonical JSON, by path."""
        listed = [[file.path, file.size, self._digests[file.path].value] for file in self._files]
        return Digest.of(canonical(listed))

    def _layer(self, files: list[StoredFile]) -> Iterator[bytes]:
        return tar_stream(
            File(f"{PLACE}/{file.path}", file.size, partial(self._hashed, file)) for file in files
        )

    def _hashed(self, file: StoredFile) -> Iterator[bytes]:
        seen = hashlib.sha256()
        for chunk in self._read(file):
            seen.update(chunk)
            yield chunk
        self._digests[file.path] = Digest(f"sha256:{seen.hexdigest()}")


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
