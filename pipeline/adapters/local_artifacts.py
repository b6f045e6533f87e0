"""Model files on this machine: listed without following links, read without being led astray."""

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.adapters.artifact_listing import ATTEMPTED, too_much
from pipeline.domain.evidence import Refused, StoredFile
from pipeline.errors import CorruptedError, ForbiddenError, NotFoundError, PermanentError
from pipeline.image.model_files import DEEPEST, MOST

_CHUNK = 1 << 20


class LocalArtifacts:
    """Reads ``/absolute/path`` and ``file:///absolute/path`` roots."""

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...] | Refused:
        """List regular files; a link, device or pipe refuses the model."""
        root = _root(artifact_uri)
        try:
            found = list(islice(_walk(root, ""), MOST + 1))
        except FileNotFoundError as error:
            raise NotFoundError(
                ATTEMPTED, str(root), "the folder is gone; is MLflow's storage mounted here?"
            ) from error
        except OSError as error:
            raise _unreadable(root, error) from error
        if len(found) > MOST or any(path.count("/") > DEEPEST for path, _ in found):
            return too_much()
        for path, status in found:
            if not stat.S_ISREG(status.st_mode):
                return Refused(
                    f"the model's artifacts hold {path!r}, which is no regular file: "
                    "log the model with a copy of the file itself, not a link to it"
                )
        return tuple(StoredFile(path, status.st_size) for path, status in sorted(found))

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        """Stream a listed file; each part of its path is opened without following a link."""
        root = _root(artifact_uri)
        try:
            descriptor = _open_below(root, file.path)
        except OSError as error:
            raise CorruptedError(
                ATTEMPTED, file.path, "it changed since it was listed; promote the version again"
            ) from error
        length = 0
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            while chunk := stream.read(_CHUNK):
                length += len(chunk)
                yield chunk
        if length != file.size:
            raise CorruptedError(
                ATTEMPTED, file.path, f"it has {length} bytes, the listing says {file.size}"
            )


def _root(artifact_uri: str) -> Path:
    parts = urlsplit(artifact_uri)
    root = Path(unquote(parts.path) if parts.scheme == "file" else artifact_uri)
    if not root.is_absolute():  # it would begin where Laurel runs, which is where its keys are
        raise PermanentError(
            ATTEMPTED, artifact_uri, "it is no absolute path: start MLflow with an absolute one"
        )
    return root


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            if entry.is_dir(follow_symlinks=False) and path.count("/") <= DEEPEST:
                yield from _walk(Path(entry.path), path + "/")
            else:
                yield path, entry.stat(follow_symlinks=False)


def _open_below(root: Path, path: str) -> int:
    *folders, name = path.split("/")
    if {"", ".", ".."} & {*folders, name}:
        raise FileNotFoundError(path)
    above = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for folder in folders:
            below = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=above)
            os.close(above)
            above = below
        # O_NONBLOCK: a pipe that took the file's place must not make us wait for its writer.
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=above)
    finally:
        os.close(above)


def _unreadable(root: Path, error: OSError) -> ForbiddenError:
    return ForbiddenError(
        ATTEMPTED, str(root), f"{error.strerror}; let Laurel's user read MLflow's storage"
    )
