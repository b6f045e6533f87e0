"""Laurel's own image runs as nobody on a read-only root, keeps ``/data``, and tells its health."""

import http.client
import re
import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pipeline import own_image, wiring
from pipeline.domain.evidence import Refused
from pipeline.domain.references import Digest, ImageRef
from pipeline.errors import ConfigurationError, NotFoundError
from pipeline.local.rootfs import Rootfs, RootfsCache
from pipeline.own_image import DATA, make_image
from pipeline.settings import Settings
from pipeline.settings.load import load_settings
from pipeline.settings.sections import RegistrySettings, WorkerSettings
from pipeline.trust.attachments import Attested, attestations
from pipeline.trust.key_file import create_key_file
from pipeline.trust.keys import PublicKey
from pipeline.trust.statements import COSIGN_SIGN, SLSA_PROVENANCE
from tests.architecture.commands import commands
from tests.servers.container_engines import DockerEngine
from tests.servers.ports import free_ports
from tests.servers.registries import Registry
from tests.servers.waiting import until

pytestmark = pytest.mark.xdist_group("docker_engine")

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Own:
    """Where images go in one test, on a cache that all tests of this file share."""

    settings: Settings
    ref: ImageRef

    @property
    def unpacked(self) -> Rootfs:
        cache = self.settings.worker.cache
        assert cache is not None
        return RootfsCache(cache / "unpacked", wiring.open_images(self.settings)).provide(self.ref)


def settings_of(cache: Path, location: str) -> Settings:
    return Settings(
        registry=RegistrySettings(location=location), worker=WorkerSettings(cache=cache)
    )


@pytest.fixture(scope="module")
def cache(own_cache: Path) -> Path:
    return own_cache / "laurel"


@pytest.fixture(scope="module")
def own(cache: Path) -> Own:
    settings = settings_of(cache, f"oci-layout:{cache / 'images'}")
    return Own(settings, make_image(settings))


def test_made_twice_it_has_the_same_digest(own: Own, cache: Path) -> None:
    again = settings_of(cache, f"oci-layout:{cache / 'again'}")
    assert make_image(again) == own.ref


def test_it_is_found_by_its_version(own: Own) -> None:
    registry = wiring.open_images(own.settings)
    assert registry.tags("laurel") == (own.unpacked.config.labels[VERSION],)


VERSION = "org.opencontainers.image.version"


def test_it_runs_as_nobody_and_says_how_it_is_asked_for_its_health(own: Own) -> None:
    config = own.unpacked.config
    assert config.user == "65532:65532"
    assert config.entrypoint == ("/opt/python/bin/python3", "/opt/laurel/laurel")
    assert config.command == ("up", "--host", "0.0.0.0")  # noqa: S104 - in its own network
    assert config.healthcheck == ("python3", "/opt/laurel/healthy")
    assert config.working_dir == DATA
    assert (own.unpacked.path / "data").stat().st_mode & 0o7777 == 0o1777


@pytest.mark.parametrize(
    ("verb", "answer"), [("--help", "Usage: laurel"), ("steps", "signature and provenance")]
)
def test_it_answers_with_nothing_else_in_reach(own: Own, verb: str, answer: str) -> None:
    root, config = own.unpacked.path, own.unpacked.config
    ran = subprocess.run(
        ["unshare", "-r", "chroot", str(root), *config.entrypoint, verb],  # noqa: S607 - util-linux
        env={**config.env, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare failed" in ran.stderr:
        pytest.skip("needs user namespaces, which this machine denies")
    assert answer in ran.stdout, ran.stderr


def test_what_laurel_calls_is_in_it(own: Own) -> None:
    environment = own.unpacked.path / "opt/laurel/env"
    for program in ("bin/uv", "envoy/_bin/envoy"):
        assert (environment / program).stat().st_mode & 0o111, program
    compiled = f"pipeline/wiring/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"
    content = (environment / compiled).read_bytes()
    assert b"/opt/laurel/env/pipeline/wiring/__init__.py" in content
    assert str(ROOT).encode() not in content


def test_it_goes_to_the_registry_that_the_environment_names(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAUREL_REGISTRY", f"oci-layout:{cache / 'named'}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache / "xdg"))
    (cache / "xdg").mkdir()
    (cache / "xdg" / "laurel").symlink_to(cache)
    own_image.main()
    told = ImageRef.parse(capsys.readouterr().out.strip())
    assert told.repository == "laurel"
    assert told.digest.value in (cache / "named" / "index.json").read_text()


@pytest.fixture
def signed(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Write a laurel.yaml and its key, for the image to go by."""
    create_key_file(tmp_path / "laurel.key", "a password")
    (tmp_path / "laurel.key.password").write_text("a password")
    said = {"registry": f"oci-layout:{cache / 'signed'}", "worker": {"cache": str(cache)}}
    (tmp_path / "laurel.yaml").write_text(yaml.safe_dump(said))
    monkeypatch.setenv("LAUREL_CONFIG", str(tmp_path / "laurel.yaml"))
    return load_settings(tmp_path / "laurel.yaml", {})


def test_it_is_signed_by_laurel_s_key_with_provenance_and_only_once(
    own: Own, signed: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    own_image.main()
    own_image.main()
    first, again = map(ImageRef.parse, capsys.readouterr().out.split())
    assert again == first
    key = PublicKey.from_pem(signed.signing.key.with_suffix(".pub").read_bytes())
    registry = wiring.open_images(signed)
    found = list(attestations(first, registry=registry, keys=[key], wanted=()))
    statements = {
        one.statement.predicate_type: one.statement for one in found if isinstance(one, Attested)
    }
    assert (len(found), set(statements)) == (2, {COSIGN_SIGN, SLSA_PROVENANCE})
    made = statements[SLSA_PROVENANCE].predicate["buildDefinition"]
    lock = ROOT / "dockerfiles" / "laurel.lock"
    assert made["resolvedDependencies"][1:] == [
        {"name": "base-image", "digest": {"sha256": base_of(own).hex}},
        {"name": "requirements.lock", "digest": {"sha256": Digest.of(lock.read_bytes()).hex}},
    ]


def base_of(own: Own) -> Digest:
    return Digest(own.unpacked.config.labels["org.opencontainers.image.base.digest"])


def test_what_hinders_it_is_told_in_one_sentence(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache / "a file").touch()
    monkeypatch.setenv("LAUREL_REGISTRY", f"oci-layout:{cache / 'a file'}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    with pytest.raises(SystemExit, match="could not make an image layout"):
        own_image.main()


class Fixed:
    """A builder with one answer (``ports.ImageBuilder``)."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def build(self, recipe: object, *, registry: object) -> object:
        del recipe, registry
        return self.answer


def test_a_host_that_is_no_base_is_told(
    own: Own, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_answer(answer: object) -> None:
        tools = (Fixed(answer), lambda _folder: ())
        monkeypatch.setattr(wiring, "own_image_tools", lambda _settings: tools)

    with_answer(Refused("this host has no Python 3.99"))
    with pytest.raises(ConfigurationError, match=r"no Python 3\.99"):
        make_image(own.settings)
    with_answer(type("Made", (), {"ref": own.ref}))
    with pytest.raises(NotFoundError, match="make it again"):
        make_image(settings_of(cache, f"oci-layout:{cache / 'empty'}"))


def test_the_dockerfile_says_the_same_of_the_image(own: Own) -> None:
    text = (ROOT / "dockerfiles" / "laurel.Dockerfile").read_text().replace("\\\n", "")
    final = text.rpartition("FROM ${BASE}")[2]
    said = dict(re.findall(r"^(ENTRYPOINT|CMD|USER|WORKDIR|EXPOSE) (.*)$", final, re.MULTILINE))
    config = own.unpacked.config
    assert said["CMD"] == str(list(config.command)).replace("'", '"')
    assert said["ENTRYPOINT"] == '["python3", "/opt/laurel/laurel"]'
    assert (said["USER"], said["WORKDIR"]) == (config.user, config.working_dir)
    assert "HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3" in final
    assert str(list(config.healthcheck)).replace("'", '"') in final
    env = dict(re.findall(r"(\w+)=(\S+)", final.partition("ENV ")[2].partition("\n")[0]))
    assert env == {name: config.env[name] for name in env}
    assert config.env.keys() - env.keys() == {"LD_LIBRARY_PATH", "PATH"}  # of base: host


@pytest.fixture
def volume(running_docker: DockerEngine) -> Iterator[str]:
    name = f"laurel-{secrets.token_hex(4)}"
    yield name
    running_docker("volume", "rm", "--force", name)


def test_the_page_s_commands_work(
    running_docker: DockerEngine, plain_registry: Registry, cache: Path, volume: str
) -> None:
    image = str(make_image(settings_of(cache, f"{plain_registry.host}/installed")))
    meant = {"IMAGE": image, "laurel:/data": f"{volume}:{DATA}"}
    typed = [each for each in commands(ROOT / "docs/install.md") if each.startswith("docker ")]
    version, _, steps = (
        running_docker(*(meant.get(word, word) for word in shlex.split(command)[1:]))
        for command in typed
    )
    running_docker("rmi", image)
    assert version == "laurel, version 0.1.0\n"
    assert "signature and provenance" in steps


def test_on_a_read_only_root_it_comes_up_and_is_healthy(
    running_docker: DockerEngine, plain_registry: Registry, cache: Path, volume: str
) -> None:
    docker, [port] = running_docker, free_ports(1)
    image = str(make_image(settings_of(cache, f"{plain_registry.host}/own")))
    among = ["--read-only", "--tmpfs=/tmp", f"--volume={volume}:{DATA}", "--network=host"]
    among += [f"--env=LAUREL_SERVER__PORT={port}", "--env=LAUREL_SERVING__ISOLATION=none"]
    docker("run", "--rm", *among, image, "init", "--model=m", "--service=fraud")
    with pytest.raises(AssertionError, match="write a token of your own"):
        docker("run", "--rm", *among, image)
    token = f"open('{DATA}/laurel.token', 'w').write('a token of our own')"
    docker("run", "--rm", *among, "--entrypoint=python3", image, "-c", token)
    container = docker("run", "--detach", *among, image).strip()
    try:
        state = "{{.State.Status}} {{.State.Health.Status}}"
        until(
            lambda: docker("inspect", f"--format={state}", container) == "running healthy\n",
            "healthy",
            say=lambda: docker("logs", container) + docker("inspect", container),
        )
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/health/live")
        assert connection.getresponse().status == 200
        connection.close()
        docker("stop", "--time=30", container)
        assert docker("inspect", "--format={{.State.ExitCode}}", container) == "0\n"
    finally:
        docker("rm", "--force", container)
        docker("rmi", image)
