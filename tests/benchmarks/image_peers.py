"""What Laurel's build step is measured against, each as its users run it: from folder to registry.

Every peer stands on the same base and environment, which its repository has already. One that
cannot be had here is named in the results, with the reason.
"""

import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from urllib.parse import urljoin

import urllib3

from tests.benchmarks.image_models import Model, ready_blob
from tests.servers.go_tools import CRANE, BuildError, built

_HEADERS = {"Content-Type": "application/octet-stream"}


@dataclass
class Contender:
    """One way to bring a model into the registry, and how long each round took.

    ``push`` makes whatever is not measured, then returns the seconds of what is.
    """

    name: str
    push: Callable[[Model], float]
    seconds: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Absent:
    """A peer that cannot be had here, and why."""

    name: str
    why: str


class PeerError(Exception):
    """A peer's program failed; the message ends with what it said."""


def curl(host: str, folder: Path) -> Contender | Absent:
    """Put the ready layer, its digest known: the floor, because every byte must go there."""
    name = "bare `curl` PUT of the ready layer"
    if shutil.which("curl") is None:
        return Absent(name, "there is no curl on PATH")
    blobs = {}
    target = f"http://{host}/v2/bench/curl/blobs/uploads/"

    def push(model: Model) -> float:
        if model.folder not in blobs:
            blobs[model.folder] = ready_blob(model, folder / f"{model.folder.name}.tar")
        digest = blobs[model.folder].freshen()
        with urllib3.PoolManager(retries=False) as http:
            location = http.request("POST", target).headers["Location"]
        to = f"{urljoin(target, location)}&digest={digest}"
        headers = ["--header", f"Content-Type: {_HEADERS['Content-Type']}", "--header", "Expect:"]
        said = ["--fail", "--silent", "--show-error", "--write-out", "%{http_code}"]
        file = ["--upload-file", str(blobs[model.folder].file)]
        return timed(["curl", *said, *headers, *file, to])

    return Contender(name, push)


def crane(host: str, base: str, folder: Path) -> list[Contender | Absent]:
    """Let ``tar`` write into ``crane append``, or to disk and give it the file."""
    piped, from_file = "`tar` piped into `crane append`", "`tar`, then `crane append` of the file"
    try:
        program = str(built(CRANE))
    except BuildError as error:
        why = str(error).splitlines()[0]
        return [Absent(piped, why), Absent(from_file, why)]
    append = [program, "append", "--base", base, "--new_tag", f"{host}/bench/crane:model"]
    file = folder / "crane.tar"

    def pipe(model: Model) -> float:
        started = time.perf_counter()
        with subprocess.Popen(_tar(model, "-"), stdout=subprocess.PIPE) as tar:
            _run([*append, "--new_layer", "-"], stdin=tar.stdout)
        if tar.returncode:
            raise PeerError(f"tar ended with {tar.returncode}")
        return time.perf_counter() - started

    def write(model: Model) -> float:
        try:
            return timed(_tar(model, str(file)), [*append, "--new_layer", str(file)])
        finally:
            file.unlink(missing_ok=True)

    return [Contender(piped, pipe), Contender(from_file, write)]


def timed(*commands: list[str], environment: Mapping[str, str] | None = None) -> float:
    """Run commands one after the other; return the seconds of them all."""
    started = time.perf_counter()
    for command in commands:
        _run(command, environment=environment)
    return time.perf_counter() - started


def dockerfile_of(model: Model, base: str) -> Path:
    """Write the file that builds a model's folder upon the base; its folder is the context."""
    file = model.folder.parent / "Dockerfile"
    file.write_text(f"FROM {base}\nCOPY {model.folder.name} /mnt/models\n")
    return file


def _tar(model: Model, to: str) -> list[str]:
    named = ["--transform", "s,^[.],mnt/models,"]
    return ["tar", "--create", "--file", to, "--directory", str(model.folder), *named, "."]


def _run(
    command: list[str],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
) -> None:
    ended = subprocess.run(
        command,
        check=False,
        env=environment,
        stdin=stdin,
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        raise PeerError(f"{' '.join(command)}: {ended.stderr[-2000:]}")
