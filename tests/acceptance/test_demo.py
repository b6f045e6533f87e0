"""``laurel demo`` for real: what it says happened, what it leaves behind, how it is interrupted."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("demo")
_DEMO = [sys.executable, "-m", "pipeline", "demo"]


def _environment(folder: Path) -> dict[str, str]:
    """Give the demo a temporary folder of its own, by which its processes can be told."""
    return {**os.environ, "TMPDIR": str(folder)}


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


@pytest.mark.slow
def test_the_demo_shows_what_it_says_and_leaves_nothing_behind(tmp_path: Path) -> None:
    demo = subprocess.run(
        [*_DEMO, "--json"],
        env=_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert demo.returncode == 0, demo.stderr
    report = json.loads(demo.stdout)
    first, good, bad, back = report["chapters"]
    assert [claim["claim"] for claim in report["claims"] if not claim["holds"]] == []
    assert good["traffic"] == "10 > 25 > 50 > 100 %"
    assert good["failed requests"] == 0
    assert bad["verdict"] == "fail"
    assert bad["failed requests"] > 0
    assert back["digest"] == first["digest"] != good["digest"]
    assert [path.name for path in tmp_path.iterdir()] == []
    assert _left_in(tmp_path) == []


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
