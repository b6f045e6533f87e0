"""Building the cluster's programs from nothing, unit by unit, into a cache outside the checkout.

A unit is there whole or not at all, so a build that was interrupted goes on where it stopped, and
one that follows a change of versions builds what changed.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.stack.place import cache_folder
from tests.cluster.stack.units import UNITS, Unit
from tests.servers.go_tools import BuildError, find_go, go_settings, say
from tests.servers.go_tools import cache_folder as go_folder

_NICE = 5
_SAID = 3000


def program(name: str) -> str:
    """Say where a built program is, as commands have it."""
    (unit,) = (unit for unit in UNITS if name in unit.mains)
    return str(_folder(unit) / name)


def lacking(units: Iterable[Unit] = UNITS) -> list[str]:
    """Name the units that nobody has built yet."""
    return [unit.name for unit in units if not _folder(unit).exists()]


def build(units: Iterable[Unit]) -> None:
    """Build what is not there yet, a line for each unit."""
    left = [unit for unit in units if not _folder(unit).exists()]
    for count, unit in enumerate(left, 1):
        started = time.monotonic()
        say(f"building {unit.name} {unit.version} ({count} of {len(left)})")
        _make(unit)
        say(f"built {unit.name} in {time.monotonic() - started:.0f} s")


def module_folder(module: str, version: str) -> Path:
    """Download a module, where it is not there; its files are read-only for us."""
    said = _go(["mod", "download", "-json", f"{module}@v{version}"], workshop(), module)
    return Path(json.loads(said)["Dir"])


def _folder(unit: Unit) -> Path:
    return cache_folder() / unit.key


def workshop() -> Path:
    """Name the folder of what Go downloads and compiles."""
    return cache_folder() / "workshop"


def _make(unit: Unit) -> None:
    unfinished = cache_folder() / f"{unit.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)  # of a builder that was killed
    unfinished.mkdir()
    source = unit.folder or _main_module(unit)
    flags = ["-trimpath", "-ldflags", " ".join(("-s -w", *unit.linker)), "-tags", unit.tags]
    for name, package in unit.mains.items():
        where = package if unit.folder else (unit.module + package.removeprefix("."))
        _go(["build", *flags, "-o", str(unfinished / name), where], source, name)
    unfinished.rename(_folder(unit))


def _main_module(unit: Unit) -> Path:
    """Write a module that does nothing but require another, as that one would build itself.

    ``go install module@version`` refuses modules that replace others, and all of these do.
    """
    source = module_folder(unit.module, unit.version)
    said = json.loads(_go(["mod", "edit", "-json", str(source / "go.mod")], workshop(), unit.name))
    lines = [f"module cluster/{unit.name}", f"go {said['Go']}"]
    lines += [f"godebug {each['Key']}={each['Value']}" for each in said.get("Godebug") or ()]
    lines.append(f"require {unit.module} v{unit.version}")
    lines += filter(None, (_replacement(each, unit) for each in said.get("Replace") or ()))
    folder = workshop() / unit.name
    folder.mkdir(exist_ok=True)
    (folder / "go.mod").write_text("\n\n".join(lines) + "\n")
    if (sums := source / "go.sum").exists():
        (folder / "go.sum").write_bytes(sums.read_bytes())
    return folder


def _replacement(said: dict[str, dict[str, str]], unit: Unit) -> str:
    old, new = said["Old"], said["New"]
    if version := new.get("Version"):
        return f"replace {' '.join(old.values())} => {new['Path']} {version}"
    # a folder beside it in the repository: not in the archive, but published as a module
    return f"replace {old['Path']} => {old['Path']} {unit.staging}" if unit.staging else ""


def _go(arguments: list[str], folder: Path, what: str) -> str:
    workshop().mkdir(parents=True, exist_ok=True)
    settings = go_settings(workshop() / "modules", workshop() / "build")
    ended = subprocess.run(
        ["nice", "-n", str(_NICE), str(find_go(go_folder())), *arguments],  # noqa: S607 - coreutils
        check=False,
        cwd=folder,
        env={**os.environ, **settings, "GOFLAGS": f"{settings['GOFLAGS']} -mod=mod"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        raise BuildError(f"{what} could not be built:\n{ended.stderr[-_SAID:]}")
    return ended.stdout
