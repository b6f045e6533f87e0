"""release.yml, really executed by `act`: only what two machines agree on is signed and pushed."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline import wiring
from pipeline.domain.references import Digest
from pipeline.settings import Settings
from pipeline.settings.sections import RegistrySettings
from pipeline.trust.key_file import create_key_file
from tests.servers.checkout import ROOT, check_out, uv_cache
from tests.servers.go_tools import ACT, built
from tests.servers.registries import Registry
from tests.servers.unmeasured import unmeasured

pytestmark = pytest.mark.xdist_group("docker_engine")
WORDS = "password of a test's key"
MAKE = f"""#!/bin/sh
# a machine whose environment is there already; the machine of the first job may be another
[ -e .venv ] || ln -s {ROOT}/.venv .venv
[ -z "$PLANTED" ] || [ "$GITHUB_JOB" != again ] || echo "# $PLANTED" >> pipeline/py.typed
[ "$1" = dev ] || exec {shutil.which("make")} --old-file=.venv/.ready "$@"
"""
SETUP = """name: this machine's own Python
inputs: {python-version: {required: true}}
runs: {using: composite, steps: [{run: "true", shell: bash}]}
"""
GIT = ("git", "-c", "user.name=ada", "-c", "user.email=ada@example.com")


@dataclass
class Checkout:
    """Laurel's repository at a tag, and a runner that is this machine."""

    folder: Path
    registry: str
    cache: Path

    def tag(self, name: str) -> None:
        subprocess.run([*GIT, "tag", name], cwd=self.folder, check=True)

    def push(self, **planted: str) -> subprocess.CompletedProcess[str]:
        """Run the workflow as a push of the tag does, and wait for its end."""
        home = self.folder.parent / "home"
        secrets = {
            "LAUREL_SIGNING_KEY": (home / "laurel.key").read_text(),
            "LAUREL_SIGNING_PASSWORD": WORDS,
            "GITHUB_TOKEN": "a token of nobody",
        }
        environment = unmeasured() | {
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home),
            "XDG_CONFIG_HOME": str(home),
            "PATH": f"{self.folder.parent / 'bin'}:{os.environ['PATH']}",
        }
        return subprocess.run(
            [
                *(str(built(ACT)), "push", "-W", ".github/workflows/release.yml"),
                *("-P", "ubuntu-24.04=-self-hosted"),
                *("--local-repository", f"{_setup_python()}={self.folder.parent / 'setup'}"),
                *("--var", f"LAUREL_RELEASE_REGISTRY={self.registry}"),
                *("--env", f"XDG_CACHE_HOME={self.cache}"),
                *("--env", f"UV_CACHE_DIR={uv_cache()}"),
                *(part for name, value in planted.items() for part in ("--env", f"{name}={value}")),
                *(part for name in secrets for part in ("-s", name)),
            ],
            cwd=self.folder,
            env=environment | secrets,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )


def _setup_python() -> str:
    """Name the one action that act would fetch."""
    text = (ROOT / ".github/workflows/release.yml").read_text()
    (action,) = set(re.findall(r"uses: (actions/setup-python@\w+)", text))
    return str(action)


@pytest.fixture
def checkout(plain_registry: Registry, own_cache: Path, tmp_path: Path) -> Checkout:
    folder = check_out(tmp_path / "laurel")
    (tmp_path / "setup").mkdir()
    (tmp_path / "setup" / "action.yml").write_text(SETUP)
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "laurel"]):
        subprocess.run([*GIT, *command], cwd=folder, check=True)
    (tmp_path / "home").mkdir()
    create_key_file(tmp_path / "home" / "laurel.key", WORDS)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "make").write_text(MAKE)
    (tmp_path / "bin" / "make").chmod(0o755)
    return Checkout(folder, f"{plain_registry.host}/release-{tmp_path.name.lower()}", own_cache)


def told(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout + done.stderr


def pushed(checkout: Checkout) -> dict[str, Digest]:
    """List the tags of Laurel's own image in the registry."""
    settings = Settings(registry=RegistrySettings(location=checkout.registry))
    registry, repository = wiring.open_images(settings), settings.registry.repository("laurel")
    tags = [tag for tag in registry.tags(repository) if not tag.startswith("sha256-")]
    found = {tag: registry.manifest(repository, tag) for tag in tags}
    return {tag: Digest.of(content) for tag, content in found.items() if content is not None}


def test_a_tag_is_built_twice_compared_signed_pushed_and_read_back(checkout: Checkout) -> None:
    checkout.tag("v0.1.0")
    done = checkout.push()
    assert done.returncode == 0, told(done)
    images = pushed(checkout)
    assert set(images) == {"0.1.0"}
    assert f"{checkout.registry}/laurel@{images['0.1.0']}" in told(done)
    assert "Success - Main verify, without the key" in told(done)
    assert "Main publish" not in told(done)
    assert "BEGIN ENCRYPTED" not in told(done)


@pytest.mark.parametrize(
    ("tag", "planted", "why"),
    [
        ("v0.1.0", {"PLANTED": "what another machine left"}, "compare what both machines made"),
        ("v9.9.9", {}, "compare the tag with the version"),
    ],
    ids=["machines that disagree", "a tag that is no version"],
)
def test_what_does_not_agree_is_neither_signed_nor_pushed(
    checkout: Checkout, tag: str, planted: dict[str, str], why: str
) -> None:
    checkout.tag(tag)
    done = checkout.push(**planted)
    assert done.returncode != 0, told(done)
    assert f"Failure - Main {why}" in told(done)
    assert pushed(checkout) == {}
