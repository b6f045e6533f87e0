"""What it costs to make a model into an image in a registry, beside the tools people use for that.

Real registry, real tools, one machine; everybody stands on the same base and environment, which
the registry has, and gets a model that nobody has seen before. Rounds are interleaved, so that a
noisy machine is noisy for all.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.benchmarks import image_memory
from tests.benchmarks.image_base import push_base
from tests.benchmarks.image_engines import BUILDAH, DOCKER, SDK, engines
from tests.benchmarks.image_evidence import remote_registry
from tests.benchmarks.image_models import Model, make_model
from tests.benchmarks.image_moves import moves
from tests.benchmarks.image_peers import Absent, Contender, crane, curl
from tests.benchmarks.image_place import Place, place
from tests.benchmarks.laurel_builds import Builds
from tests.benchmarks.tables import (
    Claim,
    at_most,
    at_most_bytes,
    claims_table,
    faster,
    runs_table,
)
from tests.servers.go_tools import CRANE, DISTRIBUTION
from tests.servers.object_storage import running_object_storage, settings

_MIB = 1 << 20
_OWN_LOAD = 4.0  # more than what is measured here makes, busy registry and engine included
_METADATA = 64 << 10  # bytes; a file system notes access times by the block
_PLOT = Path(__file__).parents[2] / "docs" / "images" / "build-memory.svg"
_LEFT_OUT = "left out where benchmarks only show that they run"


@dataclass(frozen=True)
class Size:
    """How much is measured; ``engines`` and the ``plot`` only where the figures count."""

    rounds: int = 5
    large: int = 1 << 30
    little: int = 5 * 10**6
    grown: tuple[int, ...] = (10**8, 5 * 10**8, 10**9, 25 * 10**8, 5 * 10**9)
    engines: bool = True
    plot: Path | None = _PLOT


SMALL = Size(1, 4 * _MIB, 2 * _MIB, (2 * _MIB, 8 * _MIB), engines=False, plot=None)


@dataclass(frozen=True)
class Scene:
    """Registry and peers; ``known`` is an image with the base and environment of every other."""

    folder: Path
    place: Place
    builds: Builds
    known: str
    tiny: Model
    peers: list[Contender | Absent]
    loads: list[float]

    @property
    def host(self) -> str:
        """The registry."""
        return self.place.registry.host

    def measure(self, model: Model, entries: Sequence[Contender | Absent], rounds: int) -> None:
        """Take everybody's seconds, in turn; before that once with a tiny model, uncounted."""
        contenders = [entry for entry in entries if isinstance(entry, Contender)]
        for contender in contenders:
            contender.push(self.tiny)
        self.place.keep()
        for number in range(1, rounds + 1):
            for contender in contenders:
                model.freshen()
                contender.seconds.append(contender.push(model))
                self.place.forget()
                self.loads.append(os.getloadavg()[0])
                _say(f"round {number}: {contender.name}: {contender.seconds[-1]:.3f} s")


def run(*, small: bool) -> str:
    """Measure, and write the section of the results."""
    size = SMALL if small else Size()
    with _scene(size) as scene:
        large = _large(scene, size)
        little = _little(scene, size)
        found = image_memory.peaks(scene.builds, scene.place, size.grown, size.rounds, _say)
        grown = image_memory.section(found, size.plot)
        return "\n".join([_head(scene, size), large, little, grown])


@contextmanager
def _scene(size: Size) -> Iterator[Scene]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="laurel-bench-")))
        room = max(size.large, *size.grown)
        where = stack.enter_context(place(folder, room))
        host, cache = where.registry.host, folder / "cache"
        base = push_base(remote_registry(host), f"{host}/bench/base")
        builds = Builds(cache, host, base)
        tiny = make_model(folder / "tiny" / "model", 1 << 18)
        builds.as_command("Laurel", "bench/known").push(tiny)
        known = builds.image
        _say("base and environment are there")
        peers: list[Contender | Absent]
        if size.engines:
            peers = stack.enter_context(engines(host, known, folder))
        else:
            peers = [Absent(name, _LEFT_OUT) for name in (DOCKER, SDK, BUILDAH)]
        yield Scene(folder, where, builds, known, tiny, peers, [os.getloadavg()[0]])


def _large(scene: Scene, size: Size) -> str:
    model = make_model(scene.folder / "large" / "model", size.large)
    ours = scene.builds.as_command("Laurel, folder", "bench/laurel")
    floor = curl(scene.host, scene.folder)
    cranes = crane(scene.host, scene.known, scene.folder)
    docker, buildah = (_peer(scene.peers, name) for name in (DOCKER, BUILDAH))
    with ExitStack() as stack:
        storage = stack.enter_context(running_object_storage(_made(scene.folder / "s3")))
        remote = replace(scene.builds, variables=settings(storage.url), reports=[])

        def upload(model: Model) -> str:
            uri = storage.put_folder(model.folder, "model")
            os.sync()
            return uri

        s3 = remote.as_command("Laurel, S3", "bench/laurel", upload)
        every = [floor, ours, s3, *cranes, docker, buildah]
        scene.measure(model, every, size.rounds)
    model.weights.unlink()
    alone = [scene.builds.step_alone(ours), remote.step_alone(s3)]
    claims = [
        at_most("against a bare `curl` PUT of the ready layer", ours, floor, 1.3),
        faster("against `docker build` and `push`", ours, [docker], 15),
        faster("against `crane append`, the better of its ways", ours, cranes, 1.5),
        faster("against `buildah bud` and `push`", ours, [buildah], None),
        at_most("from S3, against the same `curl` PUT", s3, floor, 1.7),
        at_most_bytes(
            "peak memory, from a folder", _most(scene.builds.counted(ours), "peak"), 64 * _MIB
        ),
        at_most_bytes("peak memory, from S3", _most(remote.counted(s3), "peak"), 150 * _MIB),
        *_nothing_written(scene.builds.counted(ours)),
    ]
    return f"""### A model of {_mib(size.large)}, folder to registry, whole processes

Every file is hashed on the way. Building and pushing, start and end of each process included.

{claims_table(claims)}
{runs_table([*every, *alone], ours)}"""


def _little(scene: Scene, size: Size) -> str:
    model = make_model(scene.folder / "little" / "model", size.little)
    docker, sdk = (_peer(scene.peers, name) for name in (DOCKER, SDK))
    with scene.builds.in_worker("Laurel, in a running worker", "bench/laurel") as ours:
        every = [ours, docker, sdk, *crane(scene.host, scene.known, scene.folder)]
        scene.measure(model, every, size.rounds)
        ours.push(model)
    claims = [
        faster("against Docker, the better of its ways", ours, [docker, sdk], 5),
        *moves(scene.builds.image, scene.builds.base, str(model.folder), scene.host),
    ]
    return f"""### A model of {size.little / 10**6:g} MB, the build step in a running worker

{claims_table(claims)}
{runs_table(every, ours)}"""


def _nothing_written(reports: list[dict[str, Any]]) -> list[Claim]:
    written = _most(reports, "written")
    files = {file for report in reports for file in report["files"]}
    named = sorted(file for file in files if not file.endswith(".lock"))
    opened = f"{len(named)}: {', '.join(named)[:200]}" if named else "0"
    return [
        Claim("files opened to write, locks aside", opened, "-", "-", "0", not named),
        Claim(
            "bytes written to disk: when files were read",
            f"{written >> 10} KiB",
            "-",
            "-",
            f"≤ {_METADATA >> 10} KiB",
            written <= _METADATA,
        ),
    ]


def _most(reports: list[dict[str, Any]], key: str) -> int:
    return max(int(report[key]) for report in reports)


def _peer(peers: Sequence[Contender | Absent], name: str) -> Contender | Absent:
    """Take a peer for another series of rounds."""
    (found,) = (peer for peer in peers if peer.name == name)
    return replace(found, seconds=[]) if isinstance(found, Contender) else found


def _head(scene: Scene, size: Size) -> str:
    busy = "; others used it, so the times tell little" if max(scene.loads) > _OWN_LOAD else ""
    return f"""## Images

Medians of {size.rounds} interleaved rounds, other bytes each time, all of them in the page cache.
Registry: distribution {DISTRIBUTION.version} on loopback, its storage on {scene.place.storage};
crane {CRANE.version}. Docker and Buildah keep theirs on disk. The machine's one-minute load was
{scene.loads[0]:.1f} before the first round and at most {max(scene.loads):.1f} in one{busy}.
"""


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _mib(count: int) -> str:
    return f"{count // _MIB} MiB"


def _say(line: str) -> None:
    sys.stderr.write(f"images: {line}\n")
    sys.stderr.flush()
