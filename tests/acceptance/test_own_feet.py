"""Any digest stands on its own feet: other engines run it, without a network, and keep its digest.

On ``base: host``, and on a Debian that is made of Debian's packages and pushed as others push
theirs: compressed, in an index, in another repository.
"""

import io
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.adapters.local_runner import LocalRunner
from pipeline.adapters.remote_registry import RemoteRegistry
from pipeline.distribution.credentials import Credentials
from pipeline.distribution.transport import Transport
from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.oci import LAYER_GZIP
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.domain.serving import Readiness
from pipeline.image.config import host_platform
from pipeline.image.manifest import parse_manifest
from pipeline.local.rootfs import RootfsCache
from tests.fakes.foreign_image import ForeignImage, push_index
from tests.fakes.local_machine import eventually
from tests.fakes.own_feet import ANSWER, PROBE, PROBED, PYTHON, OwnFeet
from tests.fakes.served_image import built as built_image
from tests.servers.container_engines import (
    DockerEngine,
    containerd,
    runc_container,
    why_no_engines,
)
from tests.servers.debian_packages import PackagesError, missing_tools, whole_system
from tests.servers.go_tools import CRANE, built
from tests.servers.registries import Registry

pytestmark = pytest.mark.xdist_group("docker_engine")
needs_engines = pytest.mark.skipif(why_no_engines() is not None, reason=str(why_no_engines()))
MODEL, NONE = ModelVersion("fraud", 1), Digest.of(b"")
BOTH = pytest.mark.parametrize("base", ["host", "debian"])


@dataclass
class Built:
    """Where images are built, and those that were."""

    folder: Path
    host: str
    registry: RemoteRegistry
    images: dict[str, ImageRef]
    maker: OwnFeet

    def image(self, base: str) -> ImageRef:
        if base not in self.images:
            named = "host" if base == "host" else self.debian()
            self.images[base] = self.maker.build(named, f"{self.host}/ml/{base}", self.registry).ref
        return self.images[base]

    def debian(self) -> str:
        repository = f"{self.host}/bases/debian"
        other = ForeignImage((), "linux/s390x")
        here = ForeignImage((debian(),), host_platform(), docker=True)
        return f"{repository}:any@{push_index(self.registry, repository, other, here)}"


def debian() -> bytes:
    """Make a Debian with Python of its packages, as one tar."""
    if why := missing_tools():
        pytest.skip(f"a Debian base {why}")
    try:
        root = whole_system(f"python{PYTHON}", "libstdc++6", "base-files")
    except PackagesError as error:
        if "Unable to locate package" not in str(error):
            raise
        pytest.skip(f"this Debian has no python{PYTHON}")
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.add(root, ".")
    return content.getvalue()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, plain_registry: Registry) -> Built:
    folder = tmp_path_factory.mktemp("own-feet")
    registry = RemoteRegistry(Transport(Credentials({})))
    return Built(folder, plain_registry.host, registry, {}, OwnFeet(folder))


def python_of(images: Built, image: ImageRef) -> str:
    return rootfs(images).provide(image).config.entrypoint[0]


def rootfs(images: Built) -> RootfsCache:
    return RootfsCache(images.folder / "unpacked", images.registry)


@needs_engines
@BOTH
def test_runc_runs_it_with_nothing_but_a_loopback(images: Built, base: str, tmp_path: Path) -> None:
    unpacked = rootfs(images).provide(images.image(base))
    config = unpacked.config
    spec = {
        "root": {"path": str(unpacked.path), "readonly": True},
        "process": {
            "terminal": False,
            "user": {"uid": 65532, "gid": 65532},
            "args": list(config.entrypoint),
            "env": [f"{name}={value}" for name, value in config.env.items()],
            "cwd": config.working_dir,
        },
        "mounts": [{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}],  # noqa: S108 - in the container
    }
    with runc_container(tmp_path, spec) as container:
        said = container(config.entrypoint[0], "-c", PROBE)
    assert said.strip() == PROBED


@needs_engines
@BOTH
def test_containerd_runs_it_with_nothing_but_a_loopback(
    images: Built, base: str, tmp_path: Path
) -> None:
    image = images.image(base)
    python = python_of(images, image)
    with containerd(tmp_path) as ctr:
        ctr("images", "pull", "--plain-http", str(image))
        where = ["--cgroup", ctr.cgroup, "--log-uri", f"file://{tmp_path / 'container.log'}"]
        tmp = "type=tmpfs,src=tmpfs,dst=/tmp,options=rw"
        how = ["--detach", "--read-only", "--mount", tmp, "--fifo-dir", str(ctr.folder / "fifo")]
        ctr("run", *where, *how, str(image), "fraud")
        inside = ["--exec-id", "probe", "--fifo-dir", str(ctr.folder / "fifo"), "fraud"]
        said = ctr("tasks", "exec", *inside, python, "-c", PROBE)
    assert said.strip() == PROBED


@BOTH
def test_docker_pulls_it_by_its_digest_and_runs_it(
    images: Built, base: str, running_docker: DockerEngine
) -> None:
    image = images.image(base)
    running_docker("pull", str(image))
    kept = running_docker("image", "inspect", "--format", "{{json .RepoDigests}}", str(image))
    assert str(image) in kept
    how = ["--read-only", "--tmpfs", "/tmp", "--network", "none", "--detach"]  # noqa: S108 - in the container
    container = running_docker("run", *how, str(image)).strip()
    try:
        said = running_docker("exec", container, python_of(images, image), "-c", PROBE)
    finally:
        running_docker("rm", "--force", container)
        running_docker("image", "rm", "--force", str(image))
    assert said.strip() == PROBED


@BOTH
def test_crane_copies_it_and_its_digest_stays(
    images: Built, base: str, ociserver: Registry, tmp_path: Path
) -> None:
    image = images.image(base)
    for host in (images.host, ociserver.host):
        copy = f"{host}/copies/{base}"
        crane(tmp_path, "copy", str(image), f"{copy}:1")
        assert crane(tmp_path, "digest", f"{copy}:1") == image.digest.value
        copied = images.registry.manifest(copy, image.digest.value)
        assert copied == images.registry.manifest(image.repository, image.digest.value)


def crane(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [built(CRANE), *arguments],
        env={"DOCKER_CONFIG": str(folder), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


@BOTH
def test_laurel_s_own_sandbox_runs_it(images: Built, base: str) -> None:
    image = VerifiedImage(images.image(base), MODEL, "mlflow", "fraud", "", NONE, NONE, NONE, ())
    with LocalRunner(rootfs(images), isolated=True).run(built_image(image), ()) as running:
        eventually(lambda: running.readiness() is Readiness.READY)
        assert running.invoke(b"{}") == (200, ANSWER.encode())


def test_the_base_s_layer_is_the_base_s_own_blob_in_oci_s_words(images: Built) -> None:
    image = images.image("debian")
    content = images.registry.manifest(image.repository, image.digest.value)
    assert content is not None
    base, *own = parse_manifest(content).layers
    assert base.media_type == LAYER_GZIP
    assert images.registry.blob(f"{images.host}/bases/debian", base.digest)
    assert not [layer for layer in own if layer.media_type == LAYER_GZIP]
    config = rootfs(images).provide(image).config
    assert config.entrypoint == (f"/usr/bin/python{PYTHON}", "/opt/laurel/serve")


def test_built_again_it_has_the_same_digest(images: Built) -> None:
    first = images.image("debian")
    base = images.debian()
    again = images.maker.build(base, f"{images.host}/ml/again", images.registry)
    assert again.ref.digest == first.digest
