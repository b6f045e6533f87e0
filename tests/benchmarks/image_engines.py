"""Peers that need a daemon or mounts, and with them root: Docker, with its two faces, and Buildah.

Each keeps its own storage on this machine's disk, as where they are used.
"""

import importlib
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.benchmarks.image_models import Model
from tests.benchmarks.image_peers import Absent, Contender, PeerError, dockerfile_of, timed
from tests.servers.container_engines import DockerEngine, docker_engine, why_no_engines
from tests.servers.debian_packages import PackagesError, unpacked

DOCKER = "`docker build`, `docker push`"
SDK = "Docker's Python SDK in a running process"
BUILDAH = "`buildah bud`, `buildah push`"
_IMAGE = "bench/{}:model"

Push = Callable[[Model], float]


@contextmanager
def engines(host: str, base: str, folder: Path) -> Iterator[list[Contender | Absent]]:
    """Start what this machine can start; name what it cannot."""
    with ExitStack() as stack:
        if why := why_no_engines():
            yield [Absent(name, why) for name in (DOCKER, SDK, BUILDAH)]
            return
        found: list[Contender | Absent] = []
        try:
            engine = stack.enter_context(docker_engine(_made(folder / "docker")))
            engine("pull", "--quiet", base)
            found.append(Contender(DOCKER, _docker(engine, f"{host}/bench/docker:model", base)))
            found.append(_sdk(engine, f"{host}/bench/sdk", base, stack))
        except PackagesError as error:
            found += [Absent(name, str(error)) for name in (DOCKER, SDK)]
        found.append(_buildah(f"{host}/bench/buildah:model", base, _made(folder / "buildah")))
        yield found


def _docker(engine: DockerEngine, image: str, base: str) -> Push:
    docker = [str(engine.tools.program("docker")), "--host", engine.host]
    environment = {**engine.tools.environment, "DOCKER_CONFIG": "/dev/null"}

    def push(model: Model) -> float:
        file = dockerfile_of(model, base)
        build = [*docker, "build", "--quiet", "--file", str(file), "--tag", image]
        try:
            return timed(
                [*build, str(file.parent)],
                [*docker, "push", "--quiet", image],
                environment=environment,
            )
        finally:
            engine("rmi", "--force", image)

    return push


def _sdk(engine: DockerEngine, image: str, base: str, stack: ExitStack) -> Contender | Absent:
    if find_spec("docker") is None:
        return Absent(SDK, "the package `docker` is not installed")
    client = importlib.import_module("docker").DockerClient(base_url=engine.host, timeout=600)
    stack.callback(client.close)

    def push(model: Model) -> float:
        file = dockerfile_of(model, base)
        try:
            started = time.perf_counter()
            client.images.build(
                path=str(file.parent), dockerfile=str(file), tag=f"{image}:model", rm=True
            )
            _pushed(client.images.push(image, tag="model", stream=True, decode=True))
            return time.perf_counter() - started
        finally:
            engine("rmi", "--force", f"{image}:model")

    return Contender(SDK, push)


def _pushed(lines: Iterator[dict[str, Any]]) -> None:
    for line in lines:
        if "error" in line:
            raise PeerError(f"{SDK}: {line['error']}")


def _buildah(image: str, base: str, folder: Path) -> Contender | Absent:
    try:
        tools = unpacked("buildah")
        buildah = [shutil.which("unshare") or "unshare", "--mount", str(tools.program("buildah"))]
        policy = folder / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        buildah += ["--root", str(folder / "root"), "--runroot", str(folder / "run")]
        environment = {**tools.environment, "BUILDAH_ISOLATION": "chroot"}
        trusting = ["--tls-verify=false", "--signature-policy", str(policy)]

        def push(model: Model) -> float:
            file = dockerfile_of(model, base)
            build = [*buildah, "bud", "--quiet", *trusting, "--file", str(file), "--tag", image]
            try:
                return timed(
                    [*build, str(file.parent)],
                    [*buildah, "push", "--quiet", *trusting, image],
                    environment=environment,
                )
            finally:
                timed([*buildah, "rmi", "--force", image], environment=environment)

        timed([*buildah, "pull", "--quiet", *trusting, base], environment=environment)
    except (PackagesError, PeerError) as error:
        return Absent(BUILDAH, str(error).splitlines()[-1])
    return Contender(BUILDAH, push)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
