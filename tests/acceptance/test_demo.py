"""``laurel demo`` for real: what it says happened, what it leaves behind, how it is interrupted."""

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers.registries import Registry

pytestmark = pytest.mark.xdist_group("demo")
_DEMO = [sys.executable, "-m", "pipeline", "demo"]


def _environment(folder: Path, **more: str) -> dict[str, str]:
    """Give the demo a temporary folder of its own, by which its processes can be told."""
    return {**os.environ, "TMPDIR": str(folder), **more}


def _left_in(folder: Path) -> list[str]:
    """List the processes that run in or for a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            where = str((process / "cwd").readlink())
        except OSError:
            continue  # it has ended meanwhile, or is a zombie
        if str(folder) in said or where.startswith(str(folder)):
            found.append(said)
    return found


def _told(environment: dict[str, str]) -> dict[str, Any]:
    """Run the demo to its end, and return its report."""
    demo = subprocess.run(
        [*_DEMO, "--json"], env=environment, capture_output=True, text=True, check=False
    )
    assert demo.returncode == 0, demo.stderr
    report: dict[str, Any] = json.loads(demo.stdout)
    return report


@pytest.mark.slow
def test_the_demo_shows_what_it_says_and_leaves_nothing_behind(tmp_path: Path) -> None:
    report = _told(_environment(tmp_path))
    first, good, bad, back = report["chapters"]
    assert [claim["claim"] for claim in report["claims"] if not claim["holds"]] == []
    assert good["traffic"] == "10 > 25 > 50 > 100 %"
    assert good["failed requests"] == 0
    assert bad["verdict"] == "fail"
    assert bad["failed requests"] > 0
    assert back["digest"] == first["digest"] != good["digest"]
    assert [path.name for path in tmp_path.iterdir()] == []
    assert _left_in(tmp_path) == []


@pytest.mark.slow
def test_the_demo_is_the_same_with_a_real_registry_that_wants_a_login(
    htpasswd_registry: Registry, tmp_path: Path
) -> None:
    """As a user would have it: docker's own config.json holds the credentials."""
    login = f"{htpasswd_registry.username}:{htpasswd_registry.password}".encode()
    auths = {htpasswd_registry.host: {"auth": base64.b64encode(login).decode()}}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    temporary = tmp_path / "demo"
    temporary.mkdir()
    repository = f"{htpasswd_registry.host}/demo"
    report = _told(_environment(temporary, LAUREL_REGISTRY=repository, DOCKER_CONFIG=str(tmp_path)))
    assert [claim["claim"] for claim in report["claims"] if not claim["holds"]] == []
    assert (htpasswd_registry.folder / "data/docker/registry/v2/repositories/demo").is_dir()
    assert list(temporary.iterdir()) == []
    assert _left_in(temporary) == []


@contextmanager
def _demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*_DEMO, *arguments], env=_environment(folder), stderr=subprocess.PIPE, text=True
    ) as demo:
        try:
            yield demo
        finally:
            demo.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    with _demo(tmp_path) as demo:
        assert demo.stderr is not None
        next(line for line in demo.stderr if "Laurel is ready" in line)
        assert _left_in(tmp_path)
        demo.send_signal(number)
        demo.stderr.read()
        assert demo.wait() not in {0, 1}
    assert [path.name for path in tmp_path.iterdir()] == []
    assert _left_in(tmp_path) == []
