"""A deterministic tar, written as a stream: no temporary file, whatever the size.

Nothing of the builder is in the bytes: owner 0, time 0, modes 0644, 0755 or as said, entries
sorted, parents included. Names of more than 100 bytes and sizes from 8 GiB use pax headers (POSIX).
"""

import tarfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath

from pipeline.domain.content import Content, Directory, Entry, File
from pipeline.errors import CorruptedError

CHUNK = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)


def tar_stream(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Write entries as one tar, in chunks of about 1 MiB.

    Raises
    ------
    CorruptedError
        Where a file turns out longer or shorter than its size says.

    """
    return _in_chunks(_pieces(entries))


def tar_content(entries: Iterable[Entry]) -> Content:
    """Make a tar of entries, its size known before any file is read."""
    every = tuple(entries)
    sizes = (
        len(_header(entry)) + (-(-entry.size // _BLOCK) * _BLOCK if isinstance(entry, File) else 0)
        for entry in _with_parents(every)
    )
    return Content(partial(tar_stream, every), sum(sizes) + len(_END))


def tree_entries(folder: Path, at: str = ".") -> Iterator[Entry]:
    """Name everything below ``folder`` as entries below ``at``; links are followed.

    Executable is what its owner may execute; every other trait of the files is left behind.
    """
    for path in folder.rglob("*"):
        inside = str(PurePosixPath(at) / path.relative_to(folder))
        if path.is_dir():
            yield Directory(inside)
        else:
            status = path.stat()
            executable = bool(status.st_mode & 0o100)
            yield File(inside, status.st_size, partial(file_chunks, path), executable)


def file_chunks(path: Path) -> Iterator[bytes]:
    """Read a file in chunks of 1 MiB."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _pieces(entries: Iterable[Entry]) -> Iterator[bytes]:
    for entry in _with_parents(entries):
        yield _header(entry)
        if isinstance(entry, File):
            yield from _content(entry)
    yield _END


def _with_parents(entries: Iterable[Entry]) -> list[Entry]:
    every: dict[str, Entry] = {}
    for entry in entries:
        every[entry.path] = entry
        for parent in PurePosixPath(entry.path).parents[:-1]:
            every.setdefault(str(parent), Directory(str(parent)))
    return [every[path] for path in sorted(every)]


def _header(entry: Entry) -> bytes:
    info = tarfile.TarInfo(entry.path)
    if isinstance(entry, File):
        info.size, info.mode = entry.size, 0o755 if entry.executable else 0o644
    else:
        info.type, info.mode = tarfile.DIRTYPE, entry.mode
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def _content(file: File) -> Iterator[bytes]:
    seen = 0
    for chunk in file.read():
        seen += len(chunk)
        if seen > file.size:
            break
        yield chunk
    if seen != file.size:
        raise CorruptedError(
            "write a layer",
            file.path,
            f"it should have {file.size} bytes and has {'more' if seen > file.size else seen}",
        )
    yield bytes(-seen % _BLOCK)


def _in_chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for piece in pieces:
        if not waiting and len(piece) >= CHUNK:
            yield piece
            continue
        waiting += piece
        if len(waiting) >= CHUNK:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)
