"""The files that this host's own Python consists of, and where an image has them."""

import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.adapters.host_libraries import loadable, wheel_libraries

PREFIX = "/opt/python"
PYTHON = f"{PREFIX}/bin/python3"
LIBRARIES = f"{PREFIX}/lib"

_LEFT_OUT = {"ensurepip", "idlelib", "lib2to3", "test", "tests", "tkinter", "turtledemo"}
_LEFT_OUT |= {"__pycache__", "site-packages", "dist-packages"}  # other people's, or made anew
_LEFT_OUT |= {"sitecustomize.py", "usercustomize.py", "EXTERNALLY-MANAGED"}  # this host's policy
_BUILD_FOLDER = re.compile(r"config-\d")  # static library and Makefile: 20 MB for compiling only
_EXTENSION_LEFT_OUT = re.compile(r"_tkinter|_test|_ctypes_test|_xxtest|xx")
_SEARCHED = re.compile(r"/(usr/)?lib(64)?(/[\w]+-linux-gnu\w*)?(/glibc-hwcaps/[\w-]+)?\Z")
_EVERYBODYS = {"", "/usr", "/usr/local"}


@dataclass(frozen=True, slots=True)
class HostFile:
    """One file of the host and its path in the image, without a leading slash."""

    path: str
    source: Path
    executable: bool


def host_files() -> tuple[HostFile, ...]:
    """List interpreter, standard library and the libraries both need, by path in the image."""
    executable = _interpreter()
    modules = dict(_modules(Path(sysconfig.get_path("stdlib"))))
    binaries = {source for path, source in modules.items() if path.endswith(".so")}
    loaded = loadable({executable, *binaries})
    libraries = frozenset().union(*loaded.values())
    libraries |= wheel_libraries(libraries)
    files = [HostFile(PYTHON.lstrip("/"), executable, executable=True)]
    files += [
        HostFile(path, source, source in binaries)
        for path, source in modules.items()
        if source not in binaries or source in loaded  # what cannot be loaded here either
    ]
    files += [HostFile(_place(path), path, executable=True) for path in libraries]
    return tuple(sorted(files, key=lambda file: file.path))


def portable(file: HostFile) -> bytes:
    """Read a file without the folders where this Python was built and installed.

    Text names the image's folder instead. Binaries hold them too (run path, compiled-in prefix,
    debug information) and must keep their length, and each folder its last part: linkers merge
    strings by their tails, so ``3.11.7`` may be the end of ``/home/ann/versions/3.11.7``.
    """
    content = file.source.read_bytes()
    for folder in _private_folders():
        path = os.fsencode(folder)
        content = content.replace(path, _same_length(path) if file.executable else PREFIX.encode())
    return content


def _interpreter() -> Path:
    """Find the real interpreter: in a virtual environment ``sys.executable`` is another's link."""
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def _private_folders() -> list[str]:
    built = sysconfig.get_config_vars()
    folders = {sys.base_prefix, sys.base_exec_prefix}
    folders |= {str(built.get(name, "")) for name in ("abs_srcdir", "abs_builddir")}
    named = {folder.rstrip("/") for folder in folders} - _EVERYBODYS
    return sorted(named, key=len, reverse=True)  # the longer ones may lie in the shorter ones


def _same_length(folder: bytes) -> bytes:
    parent = os.path.split(folder)[0]
    place = b"/opt" if len(parent) >= len(b"/opt") else b""
    return place.ljust(len(parent), b"/") + folder[len(parent) :]


def _modules(stdlib: Path) -> Iterator[tuple[str, Path]]:
    at = PurePosixPath(PREFIX.lstrip("/"), sys.platlibdir, stdlib.name)
    for folder, folders, names in os.walk(stdlib):
        folders[:] = [name for name in folders if not _left_out(name)]
        inside = at / PurePosixPath(folder).relative_to(stdlib)
        for name in names:
            source = Path(folder, name)
            if not _left_out(name) and source.is_file():
                yield str(inside / name), source


def _left_out(name: str) -> bool:
    if name.endswith(".so"):
        return bool(_EXTENSION_LEFT_OUT.match(name))
    return name in _LEFT_OUT or bool(_BUILD_FOLDER.match(name)) or name.endswith((".pyc", ".a"))


def _place(library: Path) -> str:
    """Keep what every dynamic linker searches where it is; the rest goes beside the interpreter."""
    if _SEARCHED.match(str(library.parent)) or library.name.startswith("ld-"):
        return str(library).lstrip("/")
    return f"{LIBRARIES}/{library.name}".lstrip("/")
