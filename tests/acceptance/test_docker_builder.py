"""``builder: docker`` beside what all builders promise: its engine, bases, indexes and faults."""

import base64
import gc
import io
import json
import secrets
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import wiring
from pipeline.adapters.bases import Bases
from pipeline.adapters.docker_builder import DockerBuilder
from pipeline.adapters.docker_context import BUILD_LABEL, base_archive
from pipeline.adapters.docker_engine import DockerEngines, FailedBuild
from pipeline.adapters.host_base import HostBase
from pipeline.adapters.image_base import ImageBase
from pipeline.adapters.layer_builder import LayerBuilder, push_image
from pipeline.adapters.layer_store import LayerStore
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.content import Content, File
from pipeline.domain.evidence import Refused
from pipeline.domain.oci import Base, Layer
from pipeline.domain.recipe import Made, Recipe
from pipeline.domain.references import Digest
from pipeline.errors import (
    ConfigurationError,
    ForbiddenError,
    LaurelError,
    NotFoundError,
    PermanentError,
    UnavailableError,
)
from pipeline.image.config import ImageConfig, host_platform
from pipeline.image.manifest import parse_manifest
from pipeline.image.tar import tar_stream
from pipeline.local.rootfs import RootfsCache
from pipeline.ports import BaseImages, ImageRegistry
from pipeline.settings.load import load_settings
from pipeline.trust.key_file import create_key_file
from tests.fakes.tars import entry, tar_of_entries
from tests.fakes.wheels import MINOR, lock_of, write_wheel
from tests.servers.container_engines import DockerEngine, docker_engine
from tests.servers.registries import Registry
from tests.servers.registry_client import client_of
from tests.servers.scripted import scripted_server
from tests.unit.distribution.raw_server import answer, head, raw_server

pytestmark = [
    pytest.mark.xdist_group("docker_engine"),
    # docker's SDK leaves a socket open that could not be connected
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

REPOSITORY = "ml/fraud"
COUNT_INTERFACES = 'import os; raise SystemExit(40 + len(os.listdir("/sys/class/net")))'
NOWHERE = "unix:///nowhere/docker.sock"


@pytest.fixture(autouse=True)
def no_login(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Give docker's configuration, empty as yet, and no package index to anybody."""
    folder = tmp_path / "docker config"
    folder.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    yield folder
    gc.collect()  # what docker's SDK left open is closed here, and not in another's test


@pytest.fixture
def engine(running_docker: DockerEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerEngine]:
    monkeypatch.setenv("DOCKER_HOST", running_docker.host)
    yield running_docker
    running_docker("system", "prune", "--all", "--force")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> HostBase:
    return HostBase(LayerStore(tmp_path_factory.mktemp("host")))


@pytest.fixture
def layout(tmp_path: Path) -> LayoutRegistry:
    return LayoutRegistry(tmp_path / "images")


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "wheels").mkdir()
    return recipe_of(write_wheel(tmp_path / "wheels"))


def recipe_of(wheel: Path) -> Recipe:
    return Recipe(
        repository=REPOSITORY,
        base="host",
        platform=host_platform(),
        lock=lock_of([wheel]),
        model=((File.of("mnt/models/MLmodel", b"flavors: {}\n"),),),
        serving=(File.of("opt/laurel/serve", b"import tiny\n", executable=True),),
        env={"PYTHONPATH": "/opt/laurel/env"},
        entrypoint="/opt/laurel/serve",
        labels=lambda base: {"org.opencontainers.image.base.digest": base.digest.value},
    )


def builder(bases: BaseImages, tmp_path: Path) -> DockerBuilder:
    return DockerBuilder(Bases(bases, ImageBase(tmp_path / "bases", None)), tmp_path / "scratch")


class Changed:
    """The host's base, in some way another (``ports.BaseImages``)."""

    def __init__(self, host: HostBase, change: Callable[[Base], Base]) -> None:
        self.host = host
        self.change = change

    def provide(
        self,
        base: str,
        repository: str,
        *,
        platform: str,
        python_version: str,
        registry: ImageRegistry,
    ) -> Base | Refused:
        del base
        found = self.host.provide(
            "host", repository, platform=platform, python_version=python_version, registry=registry
        )
        assert isinstance(found, Base)
        return self.change(found)


def push_base(host: HostBase, registry: ImageRegistry, repository: str, **env: str) -> str:
    """Push the host's base as an image of its own; return how ``base:`` names it."""
    base = host.provide(
        "host", repository, platform=host_platform(), python_version=MINOR, registry=registry
    )
    assert isinstance(base, Base)
    named = tar_of_entries(entry(f"opt/python/bin/python{MINOR}", tarfile.SYMTYPE, "python3"))
    layers = (*base.layers, Layer.plain(registry.push_blob(repository, Content.of(named))))
    config = ImageConfig(
        architecture=host_platform().partition("/")[2],
        entrypoint=(),
        env={**base.env, **env},
        diff_ids=tuple(layer.diff_id for layer in layers),
        user="1000",
        labels={"of": "somebody else"},
    )
    return f"{repository}:3@{push_image(config, layers, repository, registry).digest}"


def refuse_to_build(
    bases: BaseImages, recipe: Recipe, layout: LayoutRegistry, tmp_path: Path, kind: type[Exception]
) -> str:
    with pytest.raises(kind) as raised:
        builder(bases, tmp_path).build(recipe, registry=layout)
    assert layout.tags(REPOSITORY) == ()
    return str(raised.value)


def nothing_left(engine: DockerEngine) -> bool:
    return engine("images", "--all", "--quiet") == engine("ps", "--all", "--quiet") == ""


def test_a_build_is_told_of_no_login_and_of_no_proxy(
    no_login: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = base64.b64encode(b"ada:secret").decode()
    proxies = {"default": {"httpProxy": "http://ada:secret@proxy.example:3128"}}
    configuration = {"auths": {"registry.example.com": {"auth": login}}, "proxies": proxies}
    (no_login / "config.json").write_text(json.dumps(configuration))
    heads: list[bytes] = []

    def serve(connection: socket.socket, _: int) -> None:
        while True:
            heads.append(head(connection))
            if heads[-1].startswith(b"POST"):
                assert connection.recv(1 << 16) == b"context"
                answer(connection, "200 OK", b'{"aux": {"ID": "sha256:made"}}')
            else:
                answer(connection, "200 OK", b'{"ApiVersion": "1.44", "Os": "linux", "Arch": "a"}')

    with raw_server(serve) as host:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{host}")
        with DockerEngines().connected() as engine:
            built = engine.build(io.BytesIO(b"context"), {"BASE": "x"}, {}, "linux/a")
    assert built == "sha256:made"
    said = b"".join(heads)
    assert b"POST /v1.44/build?" in said
    assert b"proxy" not in said.lower()
    assert b"X-Registry" not in said


def test_a_base_by_digest_stays_the_very_blobs_that_it_is(
    engine: DockerEngine,
    plain_registry: Registry,
    host: HostBase,
    recipe: Recipe,
    tmp_path: Path,
) -> None:
    with client_of(plain_registry, tmp_path) as registry:
        where = f"{plain_registry.host}/docker"
        base = push_base(host, registry, f"{where}/python", PORT="80", K_SERVICE="x", TZ="UTC")
        recipe = replace(recipe, repository=f"{where}/fraud", base=base)
        made = builder(host, tmp_path).build(recipe, registry=registry)
        assert isinstance(made, Made), made
        content = registry.manifest(recipe.repository, made.ref.digest.value)
        assert content is not None
        rootfs = RootfsCache(tmp_path / "unpacked", registry).provide(made.ref)
        assert (rootfs.path / "opt/laurel/env/tiny/__init__.py").is_file()
        assert made.base_digest == Digest(base.partition("@")[2])
        assert parse_manifest(content).layers[0].digest == made.layers[0]
        assert registry.tags(recipe.repository) == ()
    assert rootfs.config.env["TZ"] == "UTC"
    assert not {"PORT", "K_SERVICE"} & rootfs.config.env.keys()
    assert rootfs.config.labels == {"org.opencontainers.image.base.digest": made.base_digest.value}
    assert rootfs.config.user == "65532:65532"
    left = engine("images", "--all", "--digests", "--format", "{{.Repository}}@{{.Digest}}")
    assert left.split() == [base.replace(":3@", "@")]  # pulled, and kept as docker build does


def test_a_base_is_pulled_with_docker_s_login(
    engine: DockerEngine,
    htpasswd_registry: Registry,
    host: HostBase,
    no_login: Path,
    tmp_path: Path,
) -> None:
    server = htpasswd_registry
    with client_of(server, tmp_path) as registry:
        base = push_base(host, registry, f"{server.host}/docker/python")
    repository, digest = base.replace(":3@", "@").split("@")
    with pytest.raises(ForbiddenError, match="docker login"), DockerEngines().connected() as docker:
        docker.pull(repository, Digest(digest), host_platform())
    pair = base64.b64encode(f"{server.username}:{server.password}".encode()).decode()
    (no_login / "config.json").write_text(json.dumps({"auths": {server.host: {"auth": pair}}}))
    with DockerEngines().connected() as docker:
        docker.pull(repository, Digest(digest), host_platform())
        docker.pull(repository, Digest(digest), host_platform())
    assert repository in engine("images")


def test_a_base_that_is_not_there_is_told(engine: DockerEngine, plain_registry: Registry) -> None:
    missing = f"{plain_registry.host}/docker/missing"
    with pytest.raises(NotFoundError, match=missing), DockerEngines().connected() as docker:
        docker.pull(missing, Digest.of(b"nothing"), host_platform())
    assert nothing_left(engine)


def test_a_base_of_which_the_registry_has_lost_a_layer_is_told(
    engine: DockerEngine, plain_registry: Registry, tmp_path: Path
) -> None:
    repository, content = f"{plain_registry.host}/docker/lost", secrets.token_bytes(4000)
    with client_of(plain_registry, tmp_path) as registry:
        blob = registry.push_blob(repository, Content.of(tar_of_entries((entry("x"), content))))
        layer = Layer.plain(blob)
        config = ImageConfig(host_platform().partition("/")[2], (), {}, (layer.diff_id,))
        digest = push_image(config, (layer,), repository, registry).digest
    [stored] = plain_registry.folder.rglob(f"{layer.diff_id.hex}/data")
    stored.unlink()
    with pytest.raises(LaurelError, match=digest.value), DockerEngines().connected() as docker:
        docker.pull(repository, digest, host_platform())
    assert nothing_left(engine)


def test_what_is_no_image_is_not_loaded(engine: DockerEngine) -> None:
    broken = tar_of_entries((entry("manifest.json"), b'[{"Config": "none.json", "Layers": []}]'))
    with pytest.raises(LaurelError, match="Docker Engine"), DockerEngines().connected() as docker:
        docker.load(iter([broken]))
    assert nothing_left(engine)


def test_images_that_somebody_runs_are_left_to_them(
    engine: DockerEngine, host: HostBase, layout: LayoutRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    base = host.provide(
        "host", REPOSITORY, platform=host_platform(), python_version=MINOR, registry=layout
    )
    assert isinstance(base, Base)
    with DockerEngines().connected() as docker:
        image, archive = base_archive(base, "x", host_platform(), REPOSITORY, layout)
        docker.load(archive)
        stays = (image, base.python, "-c", "import signal; signal.pause()")
        container = engine("run", "--detach", "--network=none", *stays).strip()
        docker.remove_build("x")
        assert engine("images", "--quiet", "--no-trunc").split() == [image]
        assert "keeps images of build x" in caplog.text
        engine("rm", "--force", container)
        docker.remove_build("x")
    assert nothing_left(engine)


def test_a_registry_that_is_away_is_asked_again_later(engine: DockerEngine) -> None:
    with pytest.raises(UnavailableError, match="refused"), DockerEngines().connected() as docker:
        docker.pull("127.0.0.1:1/docker/away", Digest.of(b"x"), host_platform())
    assert nothing_left(engine)


def test_a_credential_helper_that_is_missing_is_told(engine: DockerEngine, no_login: Path) -> None:
    (no_login / "config.json").write_text('{"credsStore": "nobody-has-this"}')
    with (
        pytest.raises(PermanentError, match="nobody-has-this"),
        pytest.warns(UserWarning, match="nobody-has-this"),
        DockerEngines().connected() as docker,
    ):
        docker.pull("127.0.0.1:1/docker/away", Digest.of(b"x"), host_platform())
    assert nothing_left(engine)


def test_another_base_in_the_engine_than_in_the_registry_is_noticed(
    engine: DockerEngine,
    plain_registry: Registry,
    host: HostBase,
    recipe: Recipe,
    layout: LayoutRegistry,
    tmp_path: Path,
) -> None:
    with client_of(plain_registry, tmp_path) as registry:
        base = push_base(host, registry, f"{plain_registry.host}/docker/other")
    elsewhere = Changed(host, lambda base: replace(base, layers=(*base.layers, *base.layers)))
    docker = DockerBuilder(elsewhere, tmp_path / "scratch")
    with pytest.raises(PermanentError, match="is another image"):
        docker.build(replace(recipe, base=base), registry=layout)
    assert engine("images", "--all", "--quiet").split() == engine("images", "--quiet").split()


def test_a_wheel_that_leaves_its_place_is_refused_with_what_pip_said(
    engine: DockerEngine, host: HostBase, recipe: Recipe, layout: LayoutRegistry, tmp_path: Path
) -> None:
    hostile = write_wheel(tmp_path / "wheels", "hostile", {"../../escaped.py": b"x = 1\n"})
    refused = builder(host, tmp_path).build(
        replace(recipe, lock=lock_of([hostile])), registry=layout
    )
    assert isinstance(refused, Refused)
    assert "its packages do not install on host: ERROR:" in refused.reason
    assert "outside" in refused.evidence["output"]
    assert nothing_left(engine)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda base: replace(base, python="/nowhere/python3"), "/nowhere/python3"),
        (lambda base: replace(base, env={**base.env, "PYTHONHOME": "/nowhere"}), "non-zero code"),
    ],
    ids=["no interpreter", "one that does not start"],
)
def test_a_base_that_cannot_install_is_no_fault_of_the_model_s(
    engine: DockerEngine,
    host: HostBase,
    recipe: Recipe,
    layout: LayoutRegistry,
    tmp_path: Path,
    change: Callable[[Base], Base],
    message: str,
) -> None:
    told = refuse_to_build(Changed(host, change), recipe, layout, tmp_path, PermanentError)
    assert message in told
    assert nothing_left(engine)


def test_no_index_and_no_credential_of_one_gets_into_an_image(
    engine: DockerEngine,
    host: HostBase,
    recipe: Recipe,
    layout: LayoutRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with scripted_server() as index:
        index.says(404)
        secret = index.url.replace("//", "//builder:hunter2@")
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", f"{secret}/simple")
        made = builder(host, tmp_path).build(recipe, registry=layout)
    assert isinstance(made, Made), made
    assert index.heard  # it was asked, and the wheel came from beside it
    names = (b"hunter2", index.url.removeprefix("http://").encode())
    blobs = [path for path in (tmp_path / "images" / "blobs").rglob("*") if path.is_file()]
    assert len(blobs) > 4
    assert not [blob for blob in blobs if any(name in blob.read_bytes() for name in names)]
    assert nothing_left(engine)


def test_a_build_reaches_no_network(engine: DockerEngine, host: HostBase, tmp_path: Path) -> None:
    layout = LayoutRegistry(tmp_path / "images")
    base = host.provide(
        "host", REPOSITORY, platform=host_platform(), python_version=MINOR, registry=layout
    )
    assert isinstance(base, Base)
    layer = base.layers[0].descriptor
    dockerfile = (
        f"FROM scratch\nLABEL {BUILD_LABEL}=x\nADD base.tar /\n"
        f'ENV LD_LIBRARY_PATH="{base.env["LD_LIBRARY_PATH"]}"\n'
        f"RUN {json.dumps([base.python, '-c', COUNT_INTERFACES])}\n"
    )
    context = tar_stream(
        [
            File.of("Dockerfile", dockerfile.encode()),
            File("base.tar", layer.size, lambda: layout.read_blob(REPOSITORY, layer.digest)),
        ]
    )
    with DockerEngines().connected() as docker:
        ended = docker.build(io.BytesIO(b"".join(context)), {}, {}, host_platform())
        docker.remove_build("x")
    assert isinstance(ended, FailedBuild)
    assert ended.code == 41  # its own loopback, and no other
    assert nothing_left(engine)


def test_an_engine_that_does_not_answer_is_named(
    host: HostBase, recipe: Recipe, layout: LayoutRegistry, tmp_path: Path
) -> None:
    told = refuse_to_build(host, recipe, layout, tmp_path, UnavailableError)
    assert NOWHERE in told
    assert "DOCKER_HOST" in told


def test_an_address_that_is_none_is_told(
    host: HostBase,
    recipe: Recipe,
    layout: LayoutRegistry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "gopher://engine")
    told = refuse_to_build(host, recipe, layout, tmp_path, ConfigurationError)
    assert told.startswith("DOCKER_HOST=gopher://engine cannot be used")


def test_an_engine_that_ends_in_the_middle_is_asked_again_later(
    host: HostBase,
    recipe: Recipe,
    layout: LayoutRegistry,
    tmp_path: Path,
    running_docker: DockerEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del running_docker  # skips where none can be started
    (tmp_path / "engine").mkdir()
    with ExitStack() as stack:
        engine = stack.enter_context(docker_engine(tmp_path / "engine"))
        monkeypatch.setenv("DOCKER_HOST", engine.host)

        def ends() -> Iterator[bytes]:
            stack.close()
            yield b"x"

        model = (File("mnt/models/MLmodel", 1, ends),)
        told = refuse_to_build(
            host, replace(recipe, model=(model,)), layout, tmp_path, UnavailableError
        )
    assert engine.host in told
    assert not list((tmp_path / "scratch").iterdir())


def test_what_a_killed_build_left_is_removed_a_day_later(
    host: HostBase, recipe: Recipe, layout: LayoutRegistry, tmp_path: Path, engine: DockerEngine
) -> None:
    old, new = tmp_path / "scratch" / "old", tmp_path / "scratch" / "new"
    for folder in (old, new):
        folder.mkdir(parents=True)
    subprocess.run(["touch", "--date=2 days ago", str(old)], check=True)  # noqa: S607 - coreutils
    growing = File("mnt/models/MLmodel", 1, lambda: [b"xx"])
    with pytest.raises(LaurelError):
        builder(host, tmp_path).build(replace(recipe, model=((growing,),)), registry=layout)
    assert list((tmp_path / "scratch").iterdir()) == [new]
    assert nothing_left(engine)


@pytest.mark.parametrize("package", ["docker", "pip"])
def test_what_it_needs_is_named_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ConfigurationError, match=rf"package {package}: pip install 'laurel\[docker\]'"
    ):
        DockerEngines()


@pytest.mark.parametrize(("chosen", "kind"), [("docker", DockerBuilder), ("layers", LayerBuilder)])
def test_the_settings_choose_the_builder(tmp_path: Path, chosen: str, kind: type) -> None:
    create_key_file(tmp_path / "laurel.key", "a password")
    (tmp_path / "laurel.yaml").write_text(f"builder: {chosen}\nserving: {{isolation: none}}\n")
    said = {"LAUREL_SIGNING__PASSWORD": "a password", "LAUREL_WORKER__CACHE": str(tmp_path)}
    tools = wiring.build_tools(load_settings(tmp_path / "laurel.yaml", said))
    assert isinstance(tools.builder, kind)
