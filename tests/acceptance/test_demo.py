"""``laurel demo`` for real: what it says happened, what it leaves behind, how it is interrupted."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import docker_login
from tests.servers.registries import Registry
from tests.servers.unmeasured import unmeasured

pytestmark = pytest.mark.xdist_group("demo")
_DEMO = [sys.executable, "-m", "pipeline", "demo"]


def _environment(folder: Path, **more: str) -> dict[str, str]:
    """Give the demo a temporary folder of its own, by which its processes can be told."""
    return {**unmeasured(), "TMPDIR": str(folder), **more}


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


@pytest.mark.matrix
def test_the_demo_is_the_same_with_a_real_registry_that_wants_a_login(
    htpasswd_registry: Registry, tmp_path: Path
) -> None:
    registry = _registry(htpasswd_registry, tmp_path)
    temporary = tmp_path / "demo"
    temporary.mkdir()
    report = _told(_environment(temporary, **registry))
    assert [claim["claim"] for claim in report["claims"] if not claim["holds"]] == []
    assert _stored_in(htpasswd_registry)
    assert list(temporary.iterdir()) == []
    assert _left_in(temporary) == []


def _registry(registry: Registry, folder: Path) -> dict[str, str]:
    """Have the demo's images kept there; docker's own config.json holds the credentials."""
    login = docker_login(registry, folder)
    return {"LAUREL_REGISTRY": f"{registry.host}/demo", **login}


def _stored_in(registry: Registry) -> bool:
    return (registry.folder / "data/docker/registry/v2/repositories/demo").is_dir()


@contextmanager
def _demo(environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(_DEMO, env=environment, stderr=subprocess.PIPE, text=True) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def _interrupted(environment: dict[str, str], at: str, number: signal.Signals) -> None:
    """Send the demo a signal as soon as it says something; it must not call that a success."""
    with _demo(environment) as demo:
        assert demo.stderr is not None
        next(line for line in demo.stderr if at in line)
        assert _left_in(Path(environment["TMPDIR"]))
        demo.send_signal(number)
        demo.stderr.read()
        assert demo.wait() not in {0, 1}


def test_a_demo_that_is_interrupted_while_it_starts_leaves_nothing_behind(tmp_path: Path) -> None:
    _interrupted(_environment(tmp_path), "Laurel is ready", signal.SIGINT)
    assert [path.name for path in tmp_path.iterdir()] == []
    assert _left_in(tmp_path) == []


def test_a_demo_that_is_ended_while_it_serves_from_a_registry_leaves_nothing_behind(
    htpasswd_registry: Registry, tmp_path: Path
) -> None:
    registry = _registry(htpasswd_registry, tmp_path)
    temporary = tmp_path / "demo"
    temporary.mkdir()
    environment = _environment(temporary, **registry)
    _interrupted(environment, "first deploy: succeeded", signal.SIGTERM)
    assert _stored_in(htpasswd_registry)
    assert list(temporary.iterdir()) == []
    assert _left_in(temporary) == []
