"""What every image builder promises: Laurel's own, and a real Docker Engine's."""

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from pipeline.adapters.bases import Bases
from pipeline.adapters.docker_builder import DockerBuilder
from pipeline.adapters.host_base import HostBase
from pipeline.adapters.image_base import ImageBase
from pipeline.adapters.layer_builder import LayerBuilder
from pipeline.adapters.layer_store import LayerStore
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.adapters.lock_environments import LockEnvironments
from pipeline.adapters.uv_resolver import UvResolver
from pipeline.domain.content import Directory, File
from pipeline.domain.evidence import Lock, Refused
from pipeline.domain.oci import Base
from pipeline.domain.recipe import Made, Recipe
from pipeline.errors import CorruptedError
from pipeline.image.config import ImageConfig, host_platform, parse_config
from pipeline.image.manifest import Manifest, parse_manifest
from pipeline.local.rootfs import RootfsCache
from pipeline.ports import ImageBuilder, ImageRegistry
from pipeline.trust.contents import Labels, missing_blob, read_labels
from tests.fakes.wheels import lock_of, write_wheel
from tests.servers.container_engines import DockerEngine

pytestmark = pytest.mark.xdist_group("docker_engine")

REPOSITORY = "ml/fraud"
PLACES = {
    "mnt/models/MLmodel": b"flavors: {}\n",
    "mnt/models/data/weights (1) \u00fc.bin": bytes(range(256)) * 40,
    f"mnt/models/{'deep/' * 30}model.pkl": b"\x80\x04.",
}
LARGE = ("mnt/models/large.bin", b"\0weights" * 1000)
SERVE = b"import tiny\nprint(tiny.ANSWER, tiny.__cached__, tiny.__file__)\n"


class ImagesOf:
    """One builder, and the registry that it builds into."""

    def __init__(
        self, name: str, builder: Callable[[Path], ImageBuilder], folder: Path, wheels: Path
    ) -> None:
        self.name = name
        self.folder = folder
        self.registry = LayoutRegistry(folder / "images")
        self.wheels = wheels
        self.make = builder
        self._made: Image | None = None

    def build(self, recipe: Recipe, cache: str = "cache") -> Made | Refused:
        return self.make(self.folder / cache).build(recipe, registry=self.registry)

    def made(self, recipe: Recipe, cache: str = "cache") -> "Image":
        made = self.build(recipe, cache)
        assert isinstance(made, Made), made
        return Image(made, self.registry, self.folder)

    def image(self) -> "Image":
        """Build what most tests look at, once."""
        if self._made is None:
            self._made = self.made(recipe_of(lock_of(self.wheels.glob("tiny-1.0*.whl"))))
        return self._made


@dataclass(frozen=True)
class Image:
    """What was built, as anybody finds it in the registry."""

    made: Made
    registry: ImageRegistry
    folder: Path

    @property
    def manifest(self) -> Manifest:
        content = self.registry.manifest(self.made.ref.repository, self.made.ref.digest.value)
        assert content is not None
        return parse_manifest(content)

    @property
    def config(self) -> ImageConfig:
        blob = self.registry.read_blob(self.made.ref.repository, self.manifest.config.digest)
        return parse_config(b"".join(blob))

    @property
    def root(self) -> Path:
        return RootfsCache(self.folder / "unpacked", self.registry).provide(self.made.ref).path

    def files(self) -> dict[str, tuple[bytes, int]]:
        """Read every file with its mode, and every folder's mode."""
        return {
            str(path.relative_to(self.root)): (
                path.read_bytes() if path.is_file() else b"",
                path.lstat().st_mode,
            )
            for path in self.root.rglob("*")
            if not path.is_symlink()
        }


def recipe_of(lock: Lock, **other: object) -> Recipe:
    model = tuple(File.of(path, content) for path, content in PLACES.items())

    def labels(base: Base) -> dict[str, str]:
        return {
            "org.opencontainers.image.base.digest": base.digest.value,
            "dev.laurel.model.name": 'Fraud "$HOME" \\ \u00e9',
            "dev.laurel.model.version": "7",
            "dev.laurel.runtime": "mlflow",
            "dev.laurel.artifact.digest": lock.digest.value,
            "dev.laurel.lock.digest": lock.digest.value,
        }

    recipe = Recipe(
        repository=REPOSITORY,
        base="host",
        platform=host_platform(),
        lock=lock,
        model=(model, (File.of(*LARGE),)),
        serving=(File.of("opt/laurel/serve", SERVE, executable=True),),
        env={"PYTHONPATH": "/opt/laurel/env", "ODD": 'a "b" $PATH \\ c', "HOME": "/home"},
        entrypoint="/opt/laurel/serve",
        labels=labels,
    )
    return replace(recipe, **other)  # type: ignore[arg-type]  # the fields each case names


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> HostBase:
    return HostBase(LayerStore(tmp_path_factory.mktemp("host")))


@pytest.fixture(scope="module")
def docker_host(
    running_docker: DockerEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DockerEngine]:
    """Lend the engine to whoever looks for one in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", running_docker.host)
        patch.setenv("DOCKER_CONFIG", str(tmp_path_factory.mktemp("no login")))
        yield running_docker


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("wheels")
    write_wheel(folder)
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
            patch.setenv(variable, str(folder))
        for variable in ("UV_NO_INDEX", "PIP_NO_INDEX"):
            patch.setenv(variable, "1")
        patch.setenv("UV_CACHE_DIR", str(folder / "cache"))
        yield folder


def layer_builder(host: HostBase, cache: Path) -> ImageBuilder:
    return LayerBuilder(host, LockEnvironments(UvResolver(), LayerStore(cache)))


def docker_builder(host: HostBase, cache: Path) -> ImageBuilder:
    return DockerBuilder(Bases(host, ImageBase(cache / "bases", None)), cache / "docker")


BUILDERS = {"layers": layer_builder, "docker": docker_builder}


def images_of(name: str, request: pytest.FixtureRequest) -> ImagesOf:
    if name == "docker":
        request.getfixturevalue("docker_host")
    folder = request.getfixturevalue("tmp_path_factory").mktemp(name)
    builder = partial(BUILDERS[name], request.getfixturevalue("host"))
    return ImagesOf(name, builder, folder, request.getfixturevalue("wheels"))


@pytest.fixture(scope="module")
def layers(request: pytest.FixtureRequest) -> ImagesOf:
    return images_of("layers", request)


@pytest.fixture(scope="module")
def docker(request: pytest.FixtureRequest) -> ImagesOf:
    return images_of("docker", request)


@pytest.fixture(params=["layers", "docker"])
def images(request: pytest.FixtureRequest) -> ImagesOf:
    found: ImagesOf = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def recipe(wheels: Path) -> Recipe:
    return recipe_of(lock_of(wheels.glob("tiny-1.0*.whl")))


def test_everything_is_in_its_place(images: ImagesOf) -> None:
    files = images.image().files()
    for path, content in {**PLACES, LARGE[0]: LARGE[1], "opt/laurel/serve": SERVE}.items():
        mode = 0o100755 if path == "opt/laurel/serve" else 0o100644
        assert files[path] == (content, mode), path
    assert files["opt/laurel/env/tiny/data.bin"][0] == bytes(range(256))
    assert not [path for path in files if path.startswith("opt/laurel/env/bin")]
    assert [path for path in files if path.startswith("opt/laurel/env/tiny/__pycache__/in_set")]


def test_an_image_says_how_it_runs_and_what_it_is(images: ImagesOf, recipe: Recipe) -> None:
    image = images.image()
    config, base = image.config, image.made.base_digest
    assert config.entrypoint == ("/opt/python/bin/python3", "/opt/laurel/serve")
    assert (config.user, config.working_dir) == ("65532:65532", "/tmp")  # noqa: S108 - in the image
    assert f"linux/{config.architecture}" == host_platform()
    assert config.env.items() >= recipe.env.items()
    assert set(config.env) == {*recipe.env, "LD_LIBRARY_PATH", "PATH"}
    assert config.labels == image.manifest.annotations
    assert config.labels == recipe.labels(Base(base, (), ""))
    assert config.diff_ids == image.made.layers


def test_nothing_in_an_image_says_when_it_was_made(images: ImagesOf) -> None:
    image = images.image()
    blob = b"".join(image.registry.read_blob(REPOSITORY, image.manifest.config.digest))
    assert b'"created":"1970-01-01T00:00:00Z"' in blob
    assert b"history" not in blob


def test_the_same_parts_give_the_same_image(images: ImagesOf, recipe: Recipe) -> None:
    again = ImagesOf(images.name, images.make, images.folder / "again", images.wheels)
    assert again.made(recipe, "another cache").made == images.image().made


def test_other_parts_give_another_image(images: ImagesOf, recipe: Recipe) -> None:
    serving = (File.of("opt/laurel/serve", b"pass"), Directory("data", 0o1777))
    said = {"command": ("--port", "1 $2"), "healthcheck": ("a", 'b "c"'), "working_dir": "/data"}
    other = images.made(replace(recipe, serving=serving, **said))  # type: ignore[arg-type]  # the fields each case names
    assert other.made.ref != images.image().made.ref
    assert {name: getattr(other.config, name) for name in said} == said
    assert other.files()["data"][1] == 0o041777


def test_an_image_runs_with_nothing_else_in_reach(images: ImagesOf) -> None:
    image = images.image()
    ran = subprocess.run(
        ["unshare", "-r", "chroot", str(image.root), *image.config.entrypoint],  # noqa: S607 - util-linux
        env={**image.config.env, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare failed" in ran.stderr:
        pytest.skip("needs user namespaces, which this machine denies")
    answer, compiled, source = ran.stdout.split() or [ran.stderr, "", ""]
    assert (answer, source) == ("42", "/opt/laurel/env/tiny/__init__.py")
    assert (image.root / compiled.lstrip("/")).is_file()


def test_what_verifies_images_finds_everything(images: ImagesOf) -> None:
    image = images.image()
    found = {"registry": image.registry, "repository": REPOSITORY}
    labels = read_labels(image.manifest, **found)  # type: ignore[arg-type]  # the fields each case names
    assert isinstance(labels, Labels)
    assert (labels.version, labels.platform) == (7, host_platform())
    assert missing_blob(image.manifest, **found) is None  # type: ignore[arg-type]  # the fields each case names


def test_another_platform_is_refused_before_a_file_is_read(
    images: ImagesOf, recipe: Recipe
) -> None:
    unread = File("mnt/models/x", 1, lambda: pytest.fail("it was read"))
    refused = images.build(replace(recipe, platform="linux/s390x", model=((unread,),)))
    assert isinstance(refused, Refused)
    assert "linux/s390x" in refused.reason


def test_another_python_than_the_base_s_is_refused(images: ImagesOf, recipe: Recipe) -> None:
    refused = images.build(replace(recipe, lock=replace(recipe.lock, python_version="3.99")))
    assert isinstance(refused, Refused)
    assert "3.99" in refused.reason


def test_a_file_that_grows_while_it_is_read_makes_no_image(
    images: ImagesOf, recipe: Recipe
) -> None:
    fresh = ImagesOf(images.name, images.make, images.folder / "grown", images.wheels)
    grown = File("mnt/models/grown", 3, lambda: [b"four"])
    with pytest.raises(CorruptedError, match="has more"):
        fresh.build(replace(recipe, model=((grown,),)))
    assert fresh.registry.tags(REPOSITORY) == ()
    index = (fresh.folder / "images" / "index.json").read_bytes()
    assert b"sha256" not in index


def test_a_wheel_that_is_not_the_locked_one_is_never_installed(
    images: ImagesOf, recipe: Recipe, wheels: Path
) -> None:
    digest = recipe.lock.text.partition("sha256:")[2].strip()
    lock = replace(recipe.lock, text=recipe.lock.text.replace(digest, "0" * 64))
    with pytest.raises(CorruptedError, match="a wheel is not the locked one"):
        images.build(replace(recipe, lock=replace(lock, digest=lock_of(wheels.glob("x")).digest)))


def test_two_builders_make_images_that_differ_in_what_installers_note(
    layers: ImagesOf, docker: ImagesOf
) -> None:
    own, dockers = layers.image(), docker.image()
    assert replace(own.config, diff_ids=()) == replace(dockers.config, diff_ids=())
    ours, theirs = own.files(), dockers.files()
    assert ours.keys() - theirs.keys() == set()
    assert theirs.keys() - ours.keys() == set()
    unlike = {path for path in ours if ours[path] != theirs[path]}
    note = "opt/laurel/env/tiny-1.0.dist-info"
    assert unlike == {f"{note}/INSTALLER", f"{note}/RECORD"}
    assert own.manifest.layers[0] == dockers.manifest.layers[0]
    assert (len(own.made.layers), len(dockers.made.layers)) == (5, 4)


def test_docker_is_left_as_it_was(docker: ImagesOf, docker_host: DockerEngine) -> None:
    docker.image()
    assert docker_host("images", "--all", "--quiet") == ""
    assert docker_host("ps", "--all", "--quiet") == ""
    assert docker_host("volume", "ls", "--quiet") == ""
    assert not list((docker.folder / "cache" / "docker").iterdir())
