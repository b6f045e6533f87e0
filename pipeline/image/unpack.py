"""Unpacks layers into a directory without ever leaving it (image-spec, layer.md).

Layers are other people's bytes: names must stay inside, an entry passes only through links that
lead to a folder inside (Debian's ``bin`` is ``usr/bin``), devices are refused, owners and set-id
bits are dropped. Applying layers one after the other into the same directory gives the image's
file system, whiteouts included.
"""

import shutil
import stat
import tarfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import IO, cast

from pipeline.errors import PermanentError
from pipeline.image.blob_file import disk
from pipeline.image.tar import CHUNK
from pipeline.image.untar import members, reading

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"
_RESERVED = ".wh..wh."
_DEVICES = "dev"
_FILE_MODE = 0o777
_FOLDER_MODE = 0o1777
_MOST_LINKS = 40  # on the way to one folder, as in Linux
_DEEPEST = 256  # folders below each other: what walks a tree calls itself for each
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
        For an entry that would leave ``into``, or is a device; disk full.

    """
    with disk("unpack a layer", into), reading(chunks, str(into)) as archive:
        _Unpacking(into).apply(archive)


class _Unpacking:
    """One layer on its way into the tree; remembers its own names, which whiteouts spare."""

    def __init__(self, into: Path) -> None:
        self._into = into
        self._own: set[Path] = set()
        self._folder: tuple[tuple[str, ...], Path] = ((), into)

    def apply(self, archive: tarfile.TarFile) -> None:
        for member in members(archive):
            *parents, name = _parts(member.name) or [""]
            if not name:
                continue
            path = self._parent(tuple(parents)) / name
            if name == _OPAQUE:
                self._clear(path.parent)
            elif name.startswith(_RESERVED):
                continue  # bookkeeping of AUFS, no content
            elif name.startswith(_WHITEOUT):
                self._white_out(path)
            else:
                self._write(archive, member, path)

    def _parent(self, parents: tuple[str, ...]) -> Path:
        """Find an entry's folder; entries in a row below one folder change nothing above it."""
        if parents != self._folder[0]:
            self._folder = (parents, self._real(parents))
        return self._folder[1]

    def _real(self, parts: tuple[str, ...]) -> Path:
        """Follow a path to a real folder inside; what is missing of it is made, but not of a link.

        Each step starts from a folder that is real, so that ``..`` of a link is its parent.
        """
        here, waiting, own, links = self._into, deque(parts), len(parts), 0
        while waiting:
            part = waiting.popleft()
            linked = len(waiting) >= own  # the entry's own parts wait at the end
            own = min(own, len(waiting))
            kind = _kind(here / part)
            if part == ".." and here != self._into:
                here = here.parent
            elif kind == stat.S_IFLNK and links < _MOST_LINKS:
                links += 1
                target = (here / part).readlink()
                here = self._into if target.is_absolute() else here
                waiting.extendleft(reversed(_named(target)))
            elif part != ".." and (kind == stat.S_IFDIR or (kind is None and not linked)):
                here /= part
                self._require_near(here)
                if kind is None:
                    here.mkdir(mode=0o755)
            elif kind == stat.S_IFLNK or linked:
                raise _refusal("/".join(parts), "it lies below a link that leads to no folder")
            else:
                raise _refusal("/".join(parts), "it lies below a link or a file")
        return here

    def _require_near(self, folder: Path) -> None:
        if len(folder.parts) - len(self._into.parts) > _DEEPEST:
            name = folder.relative_to(self._into).as_posix()
            raise _refusal(name, f"it lies more than {_DEEPEST} folders deep")

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        if member.isdev() and path.is_relative_to(self._into / _DEVICES):
            return  # every engine, and Laurel's sandbox, mounts its own there
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
        *parents, name = _parts(member.linkname) or [""]
        target = self._real(tuple(parents)) / name
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


def _parts(name: str) -> list[str]:
    """Take a name apart; one that could lead outside is refused."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if name.startswith("/") or ".." in parts:
        raise _refusal(name, "it names a place outside of the image")
    if "\0" in name:
        raise _refusal(name, "its name holds a zero byte")
    return parts


def _named(target: Path) -> tuple[str, ...]:
    return target.parts[1:] if target.is_absolute() else target.parts


def _kind(path: Path) -> int | None:
    """Tell what is there, a link as itself; ``None`` for nothing."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        return None


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
    hint = f"{why}; the image or its base is not as it should be: choose another one"
    return PermanentError("unpack a layer", name[:200], hint)
