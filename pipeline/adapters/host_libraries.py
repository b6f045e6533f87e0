"""Which shared libraries binaries of this host load, as its own dynamic linker answers."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import ConfigurationError

_LINE = re.compile(r"\t(?:(?P<name>\S+) => )?(?P<path>/\S+|not found)(?: \(0x[0-9a-f]+\))?\Z")

# What manylinux wheels take from the system (PEP 600), beside the C library.
_ALWAYS = ("libstdc++.so.6", "libgcc_s.so.1")
# Loaded by name at run time, so that no binary tells of them; older C libraries have them apart.
_WHERE_PRESENT = (
    "libdl.so.2",
    "libgomp.so.1",
    "libnss_dns.so.2",
    "libnss_files.so.2",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libutil.so.1",
    "libz.so.1",
)


def loadable(binaries: Iterable[Path]) -> dict[Path, frozenset[Path]]:
    """Map each binary to the libraries it loads; one that lacks a library here is left out.

    Raises
    ------
    ConfigurationError
        Where this host has no ``ldd``.

    """
    found = {}
    for binary, lines in _answers(list(binaries)).items():
        paths = [match["path"] for line in lines if (match := _LINE.match(line))]
        if "not found" not in paths:
            found[binary] = frozenset(Path(os.path.normpath(path)) for path in paths)
    return found


def wheel_libraries(loaded: Iterable[Path]) -> frozenset[Path]:
    """Find what wheels expect of every system, with what that loads in turn."""
    libc = {str(path.parent) for path in loaded if path.name.startswith("libc.so")}
    folders = [*sorted(libc), *(f"/usr{folder}" for folder in sorted(libc))]
    folders += ["/lib64", "/usr/lib64", "/lib", "/usr/lib"]
    found = {name: _find(name, folders) for name in (*_ALWAYS, *_WHERE_PRESENT)}
    missing = [name for name in _ALWAYS if found[name] is None]
    if missing:
        raise ConfigurationError(
            f"base: host lacks {' and '.join(missing)}, which most wheels need: "
            "install your distribution's libstdc++ and libgcc"
        )
    present = {path for path in found.values() if path}
    return frozenset(present.union(*loadable(present).values()))


def _find(name: str, folders: Iterable[str]) -> Path | None:
    candidates = (Path(folder, name) for folder in folders)
    return next((path for path in candidates if path.exists()), None)


def _answers(binaries: list[Path]) -> dict[Path, list[str]]:
    if not binaries:
        return {}
    environment = {key: value for key, value in os.environ.items() if key != "LD_PRELOAD"}
    try:
        # With one file ldd leaves its name out; /dev/null is no binary, so it adds no library.
        ran = subprocess.run(
            ["ldd", "/dev/null", *map(str, binaries)],  # noqa: S607 - found as the user finds it
            env={**environment, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,  # non-zero as soon as one file is static
        )
    except FileNotFoundError as error:
        raise ConfigurationError(
            "base: host needs ldd, which this host lacks: install it, or name a base image"
        ) from error
    answers: dict[Path, list[str]] = {}
    for line in ran.stdout.splitlines():
        if line.startswith("\t"):
            answers[next(reversed(answers))].append(line)
        else:
            answers[Path(line.removesuffix(":"))] = []
    return {binary: answers[binary] for binary in binaries if binary in answers}
