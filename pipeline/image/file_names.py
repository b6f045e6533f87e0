"""The names in an image's file system, read from its layers without unpacking a file."""

import re
import tarfile
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Union

from pipeline.errors import PermanentError
from pipeline.image.untar import members, reading

_MOST_NAMES = 500_000
_MOST_LINKS = 40  # on the way to one name, as in Linux
_OPAQUE = ".wh..wh..opq"
_WHITEOUT = ".wh."
_PYTHON = re.compile(r"python([0-9]+\.[0-9]+)\Z")
_ANYBODY_MAY_RUN_IT = 0o001

Folder = dict[str, Union["Folder", str, bool]]
"""What a folder holds by name: another one, a link's target, or whether a file is executable."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is kept of a tar's entry: a header of its own takes ten times the room."""

    path: tuple[str, ...]
    kind: bytes
    link: str
    runs: bool


class FileNames:
    """Layers applied on each other; nothing here touches a disk, so no name can do harm."""

    def __init__(self) -> None:
        self._root: Folder = {}
        self._seen = 0

    def apply(self, tar: Iterable[bytes]) -> None:
        """Put a layer on top; the stream is read to its end."""
        with reading(tar, "a base") as archive:
            every = [entry for member in members(archive) if (entry := self._entry(member)).path]
        for entry in every:  # whiteouts first: they hide what lower layers have, not their own
            if entry.path[-1].startswith(_WHITEOUT):
                self._hide(entry.path)
        for entry in every:
            if not entry.path[-1].startswith(_WHITEOUT):
                self._add(entry)

    def pythons(self, search: str) -> dict[str, str]:
        """Find the first interpreter of each minor version on a ``PATH``: ``{minor: path}``."""
        found: dict[str, str] = {}
        for place in search.split(":"):
            folder = self._at(place.split("/")) if place.startswith("/") else None
            for name in folder if isinstance(folder, dict) else ():
                match = _PYTHON.match(name)
                if match and self._at([*place.split("/"), name]) is True:
                    found.setdefault(match[1], f"{place.rstrip('/')}/{name}")
        return found

    def _entry(self, member: tarfile.TarInfo) -> _Entry:
        self._seen += 1
        if self._seen > _MOST_NAMES:
            hint = f"it has more than {_MOST_NAMES} files: choose another base"
            raise PermanentError("look for Python in a base", "its layers", hint)
        path = tuple(part for part in member.name.split("/") if part not in {"", "."})
        runs = member.isreg() and bool(member.mode & _ANYBODY_MAY_RUN_IT)
        return _Entry(path, member.type, member.linkname, runs)

    def _hide(self, path: tuple[str, ...]) -> None:
        folder = self._at(path[:-1])
        if isinstance(folder, dict):
            if path[-1] == _OPAQUE:
                folder.clear()
            folder.pop(path[-1].removeprefix(_WHITEOUT), None)

    def _add(self, entry: _Entry) -> None:
        folder, name = self._at(entry.path[:-1], make=True), entry.path[-1]
        if not isinstance(folder, dict):
            return  # below a file: unpacking will refuse it
        before = folder.pop(name, None)
        if entry.kind == tarfile.DIRTYPE:
            folder[name] = before if isinstance(before, dict) else {}
        elif entry.kind == tarfile.SYMTYPE:
            folder[name] = entry.link
        elif entry.kind == tarfile.LNKTYPE:
            folder[name] = self._at(entry.link.split("/")) is True
        else:
            folder[name] = entry.runs

    def _at(self, path: Iterable[str], *, make: bool = False) -> Folder | bool | None:
        """Follow a path from the root, links included, as a process in the image would."""
        waiting, way, links = deque(path), [self._root], 0
        while waiting:
            part = waiting.popleft()
            if part == "..":
                way = way[:-1] or way
            if part in {"", ".", ".."}:
                continue
            there = way[-1].setdefault(part, {}) if make else way[-1].get(part)
            if isinstance(there, dict):
                way.append(there)
            elif isinstance(there, str) and links < _MOST_LINKS:
                links += 1
                way = way[:1] if there.startswith("/") else way
                waiting.extendleft(reversed(there.split("/")))
            else:
                return there if isinstance(there, bool) and not waiting else None
        return way[-1]
