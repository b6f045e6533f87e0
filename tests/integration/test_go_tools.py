"""Programs in Go are built once, whoever asks, and found again."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.servers.go_tools import (
    BuildError,
    Program,
    built,
    cache_folder,
    find_go,
    go_from_pypi,
    go_version,
)

pytestmark = pytest.mark.xdist_group("go_tools")

ROOT = Path(__file__).parents[2]
ASK = """
import sys
from pathlib import Path
from tests.servers.go_tools import Program, built
print(built(Program("hello", sys.argv[1], folder=Path(sys.argv[2]))))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Share what Go compiles of its own library."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def hello(
    request: pytest.FixtureRequest, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Program:
    """Write a program that needs no module, in a version that nobody has built."""
    go = find_go(cache_folder())  # that of the other programs: nothing is downloaded here
    monkeypatch.setenv("PATH", f"{go.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    (tmp_path / "go.mod").write_text("module hello\n\ngo 1.26\n")
    (tmp_path / "main.go").write_text('package main\n\nfunc main() { println("hello") }\n')
    return Program("hello", request.node.name, folder=tmp_path)


def test_two_processes_that_ask_at_once_build_once(hello: Program) -> None:
    asking = [
        subprocess.Popen(
            [sys.executable, "-c", ASK, hello.version, str(hello.folder)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=300) for process in asking]
    answers = {answer.strip() for answer, _ in outputs}
    assert answers == {str(cache_folder() / hello.key)}, outputs
    assert "".join(errors for _, errors in outputs).count("building hello ") == 1
    greeting = subprocess.run(answers.pop(), check=True, capture_output=True, text=True)
    assert greeting.stderr == "hello\n"


def test_what_was_built_needs_no_go(
    hello: Program, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = cache_folder() / "hello.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "half").write_text("of a builder that was killed")
    executable = built(hello)
    assert not unfinished.exists()
    assert "built hello in" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "")
    assert built(hello) == executable
    assert capsys.readouterr().err == ""


def test_another_version_or_source_is_another_program(hello: Program) -> None:
    before = hello.key
    assert replace(hello, version="2").key != before
    assert replace(hello, package="example.test/hello").key != before
    (hello.folder / "main.go").write_text("package main\n\nfunc main() {}\n")
    assert hello.key != before


def test_a_program_that_does_not_compile_says_why(hello: Program) -> None:
    (hello.folder / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(BuildError, match=r"(?s)hello could not be built.*undefined: nonsense"):
        built(hello)
    assert not (cache_folder() / hello.key).exists()


def test_a_go_that_is_too_old_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    old, pinned = tmp_path / "old", go_from_pypi(cache_folder())
    for go, version in (old / "go", "go1.19.8"), (pinned, "go1.27.3"):
        go.parent.mkdir(parents=True)
        go.write_text(f"#!/bin/sh\necho {version}\n")
        go.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old}{os.pathsep}{os.environ['PATH']}")
    assert go_version(str(old / "go")) == (1, 19)
    assert find_go(cache_folder()) == pinned


def test_what_says_no_version_is_no_go(tmp_path: Path) -> None:
    silent = tmp_path / "go"
    silent.write_text("#!/bin/sh\nexit 1\n")
    silent.chmod(0o755)
    assert go_version(str(silent)) == (0, 0)
