"""Unpacks layers into a directory without ever leaving it (image-spec, layer.md).

Layers are other people's bytes: names must stay inside, no entry may pass through a link, devices
are refused, owners and set-id bits are dropped. Applying layers one after the other into the same
directory gives the image's file system, whiteouts included.
"""

import io
import shutil
import stat
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

from pipeline.errors import CorruptedError, PermanentError
from pipeline.image.blob_file import disk
from pipeline.image.tar import CHUNK

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_RESERVED = ".wh..wh."
_FILE_MODE = 0o777
_FOLDER_MODE = 0o1777
_OWNER = 0o700  # without it a later layer, or the clean-up, could not get in


def unpack_layer(chunks: Iterable[bytes], into: Path) -> None:
    """Apply one uncompressed layer to the tree below ``into``, which must exist.

    The stream is always read to its end, so that a source which checks a digest can do so; until
    this returns, nothing in ``into`` may be trusted.

    Raises
    ------
    CorruptedError
        Where the bytes are no tar, or end early.
    PermanentError
        For an entry that would leave ``into``, pass through a link, or is a device; disk full.

    """
    source = _Readable(iter(chunks))
    with disk("unpack a layer", into):
        try:
            with tarfile.open(fileobj=source, mode="r|", bufsize=CHUNK) as archive:
                _Unpacking(into).apply(archive)
        except tarfile.TarError as error:
            raise CorruptedError(
                "unpack a layer", str(into), f"it is no whole tar ({error}): build the image again"
            ) from error
        source.drain()


class _Unpacking:
    """One layer on its way into the tree; remembers its own names, which whiteouts spare."""

    def __init__(self, into: Path) -> None:
        self._into = into
        self._own: set[Path] = set()
        self._folder: Path | None = None

    def apply(self, archive: tarfile.TarFile) -> None:
        for member in archive:
            path = self._place(member.name)
            if path == self._into:
                continue
            if path.parent != self._folder:  # the entry before changed nothing above itself
                self._require_real_parents(path)
                self._folder = path.parent
            if path.name == _OPAQUE:
                self._clear(path.parent)
            elif path.name.startswith(_RESERVED):
                continue  # bookkeeping of AUFS, no content
            elif path.name.startswith(_WHITEOUT):
                self._white_out(path)
            else:
                self._write(archive, member, path)

    def _place(self, name: str) -> Path:
        parts = [part for part in name.split("/") if part not in {"", "."}]
        if name.startswith("/") or ".." in parts:
            raise _refusal(name, "it names a place outside of the image")
        if "\0" in name:
            raise _refusal(name, "its name holds a zero byte")
        return self._into.joinpath(*parts)

    def _require_real_parents(self, path: Path) -> None:
        parent = self._into
        for part in path.relative_to(self._into).parts[:-1]:
            parent /= part
            with suppress(FileExistsError):
                parent.mkdir(mode=0o755)
            if not stat.S_ISDIR(parent.lstat().st_mode):
                raise _refusal(str(path.relative_to(self._into)), "it lies below a link or a file")

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        self._own.add(path)
        if path.parent not in self._own:
            self._own.update(path.parents)
        if member.isdir():
            self._make_folder(path, member.mode)
        elif member.issym() and "\0" not in member.linkname:
            _remove(path)
            path.symlink_to(member.linkname)
        elif member.islnk():
            self._make_hard_link(path, member)
        elif member.isreg() and not member.issparse():
            _remove(path)
            _write_file(archive, member, path)
        else:
            raise _refusal(member.name, "it is neither a file, a folder nor a link")

    def _make_folder(self, path: Path, mode: int) -> None:
        if not _is_folder(path):
            _remove(path)
            path.mkdir()
        path.chmod(mode & _FOLDER_MODE | _OWNER)

    def _make_hard_link(self, path: Path, member: tarfile.TarInfo) -> None:
        target = self._place(member.linkname)
        self._require_real_parents(target)
        if target == path or not _is_file(target):
            raise _refusal(member.name, f"it is a hard link to {member.linkname}, which is no file")
        _remove(path)
        path.hardlink_to(target)

    def _white_out(self, path: Path) -> None:
        name = path.name.removeprefix(_WHITEOUT)
        if name in {"", ".", ".."}:
            raise _refusal(path.name, "it hides nothing that has a name")
        hidden = path.with_name(name)
        if hidden in self._own:
            self._clear(hidden)
        else:
            _remove(hidden)

    def _clear(self, folder: Path) -> None:
        """Remove what lower layers left in ``folder``."""
        if not _is_folder(folder):
            return
        for child in list(folder.iterdir()):
            if child in self._own:
                self._clear(child)
            else:
                _remove(child)


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


def _write_file(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    content = cast("IO[bytes]", archive.extractfile(member))  # None only for what is no file
    with path.open("xb") as file:
        shutil.copyfileobj(content, file, CHUNK)
    path.chmod(member.mode & _FILE_MODE)


def _remove(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _refusal(name: str, why: str) -> PermanentError:
    hint = f"{why}; it is no image that Laurel built: choose another one"
    return PermanentError("unpack a layer", name[:200], hint)
