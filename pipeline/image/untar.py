"""Reads tars that other people wrote: as a stream, in bounded memory, to their very end."""

import io
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Self

from pipeline.errors import CorruptedError
from pipeline.image.tar import CHUNK

_LONGEST_HEADER = 1 << 20  # bytes; what stands before an entry is read into memory as a whole
_NONSENSE = (ValueError, OverflowError, RecursionError)
"""What ``tarfile`` lets through: of numbers that are none, or headers upon headers without end."""
_EXTENDED = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}


@contextmanager
def reading(chunks: Iterable[bytes], subject: str) -> Iterator[tarfile.TarFile]:
    """Lend a tar whose entries :func:`members` gives; what follows its end is read, and ignored.

    Raises
    ------
    CorruptedError
        Where the bytes are no tar, or end early.

    """
    source = _Readable(iter(chunks))
    try:
        with _opened(source) as archive:
            yield archive
    except tarfile.TarError as error:
        raise CorruptedError(
            "unpack a layer", subject, f"it is no whole tar ({error}): build the image again"
        ) from error
    source.drain()


def members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Give a tar's entries, and forget each: otherwise all of them would be kept."""
    while (member := _next(archive)) is not None:
        archive.members.clear()  # type: ignore[attr-defined]  # typeshed does not know it
        yield member


def _opened(source: "_Readable") -> tarfile.TarFile:
    try:  # it reads the first header
        return tarfile.open(fileobj=source, mode="r|", bufsize=CHUNK, tarinfo=_Header)
    except _NONSENSE as error:
        raise tarfile.ReadError("its first header makes no sense") from error


def _next(archive: tarfile.TarFile) -> tarfile.TarInfo | None:
    try:
        return archive.next()
    except _NONSENSE as error:
        raise tarfile.ReadError("a header makes no sense") from error


class _Header(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _EXTENDED and header.size > _LONGEST_HEADER:
            raise tarfile.ReadError("a header is too long")
        return header


class _Readable(io.RawIOBase):
    """Chunks as the file that ``tarfile`` wants."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            try:
                self._rest = next(self._chunks)
            except StopIteration:
                return b""
        part, self._rest = self._rest[:size], self._rest[size:]
        return part

    def drain(self) -> None:
        for _ in self._chunks:
            pass
