"""Bytes as files named by their digest: hashed while written, durable once named, never changed."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.domain.content import Content
from pipeline.domain.references import Digest
from pipeline.domain.serving import Blob
from pipeline.errors import CorruptedError, ForbiddenError, NotFoundError, PermanentError
from pipeline.image.tar import file_chunks

_FULL = {errno.ENOSPC, errno.EDQUOT}


def write_blob(chunks: Iterable[bytes], folder: Path, *, scratch: Path) -> Blob:
    """Store a stream in ``folder`` under the hex digits of its digest.

    ``scratch`` lies on the same file system. A crash leaves at most a file there, never a blob of
    other bytes than its name says.
    """
    with disk("store a layer", folder), _scratch_file(scratch) as (descriptor, temporary):
        blob = _fill(descriptor, chunks)
        if not _renewed(folder / blob.digest.hex):
            os.fchmod(descriptor, 0o444)  # it may be linked from several folders
            os.fsync(descriptor)
            temporary.rename(folder / blob.digest.hex)
            sync_folder(folder)
    return blob


def checked(content: Content) -> Iterator[bytes]:
    """Stream content; ``CorruptedError`` where it is not what it says of itself.

    Too many bytes are noticed before they are passed on, so that nothing grows without bound.
    """
    seen = hashlib.sha256() if content.digest else None
    size = 0
    for chunk in content.chunks():
        size += len(chunk)
        if size > content.size:
            break
        if seen is not None:
            seen.update(chunk)
        yield chunk
    if size != content.size:
        told = f"more than {content.size}" if size > content.size else f"{size} of {content.size}"
        raise CorruptedError("store a layer", "a stream", f"it has {told} bytes: retry")
    if content.digest and seen and seen.hexdigest() != content.digest.hex:
        raise CorruptedError("store a layer", content.digest.value, "its bytes are others: retry")


def write_file(path: Path, content: bytes, *, scratch: Path) -> None:
    """Replace a file as a whole: readers see the old bytes or the new, also after a power cut."""
    with disk("write", path), _scratch_file(scratch) as (descriptor, temporary):
        _fill(descriptor, [content])
        os.fchmod(descriptor, 0o644)
        os.fsync(descriptor)
        temporary.rename(path)
        sync_folder(path.parent)


def read_blob(path: Path, digest: Digest) -> Iterator[bytes]:
    """Stream a blob's file; ``CorruptedError`` at its end where the bytes are not the digest's."""
    seen = hashlib.sha256()
    with disk("read a layer", path):
        for chunk in file_chunks(path):
            seen.update(chunk)
            yield chunk
    if seen.hexdigest() != digest.hex:
        raise CorruptedError(
            "read a layer", str(path), f"its bytes are not those of {digest}: remove it, then retry"
        )


@contextmanager
def disk(attempted: str, path: Path) -> Iterator[None]:
    """Say what the operating system refused, in words that name the path and what to do."""
    try:
        yield
    except OSError as error:
        subject = str(path)
        if error.errno in _FULL:
            hint = f"the disk is full: make room below {subject}, then retry"
            raise PermanentError(attempted, subject, hint) from error
        if isinstance(error, FileNotFoundError):
            hint = "it is not there: build the image again"
            raise NotFoundError(attempted, subject, hint) from error
        if isinstance(error, PermissionError):
            hint = f"{error.strerror}: give the user that runs Laurel access, then retry"
            raise ForbiddenError(attempted, subject, hint) from error
        raise PermanentError(
            attempted, subject, f"{error.strerror or error}: mend that, then retry"
        ) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _renewed(path: Path) -> bool:
    """Tell whether a blob is there, and make it young: old ones that nothing names are swept."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except PermissionError:  # somebody else's, who alone can make it young
        return True
    return True


@contextmanager
def _scratch_file(scratch: Path) -> Iterator[tuple[int, Path]]:
    descriptor, name = tempfile.mkstemp(dir=scratch)
    try:
        yield descriptor, Path(name)
    finally:
        os.close(descriptor)
        Path(name).unlink(missing_ok=True)


def _fill(descriptor: int, chunks: Iterable[bytes]) -> Blob:
    seen, size = hashlib.sha256(), 0
    with open(descriptor, "wb", buffering=0, closefd=False) as file:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                rest = rest[file.write(rest) :]
            seen.update(chunk)
            size += len(chunk)
    return Blob(Digest(f"sha256:{seen.hexdigest()}"), size)
