"""Debian's packages as folders outside the checkout: nothing is installed on this machine.

``apt-get`` downloads and checks, with lists and a cache of its own; ``dpkg-deb`` unpacks. Folders
lie below ``$XDG_CACHE_HOME``, else ``~/.cache``, in ``laurel-tests/debian``; whoever removes one
loses a download and nothing else.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_STATUS = Path("/var/lib/dpkg/status")
_LIBRARIES = ("usr/lib/*-linux-gnu", "lib/*-linux-gnu", "usr/lib", "lib")
_PROGRAMS = ("usr/sbin", "usr/bin", "sbin", "bin")
_MERGED = ("bin", "lib", "lib64", "sbin")
_FORMAT = 1  # of what lies in a folder


class PackagesError(Exception):
    """The packages cannot be had; the message says what is missing, or what apt-get said."""


@dataclass(frozen=True)
class Unpacked:
    """Packages beside the machine's own: programs to run, and where their libraries are."""

    folder: Path

    def program(self, name: str) -> Path:
        """Find a program of the packages, else the one that the machine has installed."""
        for folder in _PROGRAMS:
            if (found := self.folder / folder / name).exists():
                return found
        if installed := shutil.which(name):
            return Path(installed)
        raise PackagesError(f"there is no {name} in {self.folder}, nor on PATH")

    @property
    def environment(self) -> dict[str, str]:
        """Put the packages in front of the machine's own, in a copy of our environment."""
        programs = [str(self.folder / folder) for folder in _PROGRAMS]
        libraries = [str(path) for each in _LIBRARIES for path in self.folder.glob(each)]
        return {
            **os.environ,
            "PATH": os.pathsep.join([*programs, os.environ.get("PATH", os.defpath)]),
            "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        }


def unpacked(*names: str) -> Unpacked:
    """Unpack packages, and of what they need that which this machine has not."""
    return Unpacked(_provided(names, whole=False))


def whole_system(*names: str) -> Path:
    """Unpack packages with everything that they need, down to the C library: a root of its own.

    No package's scripts have run in it: what they would have made is not there.
    """
    return _provided(names, whole=True)


def missing_tools() -> str | None:
    """Say what this machine lacks to get packages at all, ``None`` where it lacks nothing."""
    lacking = [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]
    return f"needs {' and '.join(lacking)}, which Debian and Ubuntu have" if lacking else None


def cache_folder() -> Path:
    """Name the folder that outlives test runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "laurel-tests" / "debian"


def _provided(names: tuple[str, ...], *, whole: bool) -> Path:
    if why := missing_tools():
        raise PackagesError(why)
    key = repr((_FORMAT, sorted(names), whole, _release()))
    kind = "system" if whole else "programs"
    folder = cache_folder() / f"{kind}-{names[0]}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if not folder.exists():
        cache_folder().mkdir(parents=True, exist_ok=True)
        with _alone(cache_folder() / "lock"):
            if not folder.exists():  # else another process made it while this one waited
                _make(names, folder, whole=whole)
    return folder


def _release() -> str:
    """Tell which system's packages these are: those of another may not run here."""
    return Path("/etc/os-release").read_text() + os.uname().machine


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(names: tuple[str, ...], folder: Path, *, whole: bool) -> None:
    tree, apt = cache_folder() / "unfinished", cache_folder() / "apt"
    for each in (tree, apt):
        shutil.rmtree(each, ignore_errors=True)  # of a process that was killed
    for each in (tree, apt / "state/lists/partial", apt / "cache/archives/partial"):
        each.mkdir(parents=True)
    if whole:  # before anything lies there: packages of this age still name both places
        for name in _MERGED:
            (tree / "usr" / name).mkdir(parents=True)
            (tree / name).symlink_to(f"usr/{name}")
    (apt / "status").touch()
    get = _apt_get(apt, apt / "status" if whole else _STATUS)
    _run([*get, "update"])
    _run([*get, "--yes", "--no-install-recommends", "--download-only", "install", *names])
    for package in sorted((apt / "cache/archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", str(package), str(tree)])
    shutil.rmtree(apt)
    tree.rename(folder)


def _apt_get(apt: Path, status: Path) -> list[str]:
    options = {
        "Dir::State": apt / "state",
        "Dir::State::status": status,
        "Dir::Cache": apt / "cache",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root" if os.geteuid() == 0 else "",  # _apt cannot read our folders
        "Debug::NoLocking": "true",  # of dpkg's own files, which nothing here touches
    }
    return ["apt-get", "--quiet", *(f"--option={name}={to}" for name, to in options.items())]


def _run(command: list[str]) -> None:
    ended = subprocess.run(
        command,
        check=False,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        raise PackagesError(f"{' '.join(command)[-200:]}:\n{ended.stderr[-2000:]}")
