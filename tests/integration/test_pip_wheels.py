"""Wheels come from where pip or uv were told, once, and whatever goes wrong is told plainly."""

import base64
import os
import tempfile
from pathlib import Path

import pytest

from pipeline.adapters import pip_wheels
from pipeline.adapters.pip_wheels import fetch_wheels, read_fault
from pipeline.domain.evidence import Lock
from pipeline.errors import (
    CorruptedError,
    ForbiddenError,
    NotFoundError,
    PermanentError,
    StepError,
    UnavailableError,
)
from tests.fakes.wheels import lock_of, write_wheel
from tests.servers.scripted import Scripted, scripted_server

USER, PASSWORD = "builder", "hunter2-of-the-index"


@pytest.fixture(autouse=True)
def no_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let this machine's settings of pip and uv say nothing."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    (tmp_path / "wheels").mkdir()
    return write_wheel(tmp_path / "wheels")


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "into"
    folder.mkdir()
    return folder


def test_each_wheel_of_a_lock_is_fetched_as_it_is(
    wheel: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    fetch_wheels(lock_of([wheel]), into)
    assert [path.name for path in into.iterdir()] == [wheel.name]
    assert (into / wheel.name).read_bytes() == wheel.read_bytes()


def test_where_pip_was_told_nothing_uv_s_index_is_asked(
    wheel: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    fetch_wheels(lock_of([wheel]), into)
    assert (into / wheel.name).exists()


def test_names_that_uv_gives_to_indexes_are_not_pip_s(
    wheel: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted_server() as main, scripted_server() as more:
        for server in (main, more):
            server.says(404)
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"main={main.url}/simple")
        monkeypatch.setenv("UV_INDEX", f"more={more.url}/simple")
        with pytest.raises(NotFoundError, match=r"tiny==1\.0"):
            fetch_wheels(lock_of([wheel]), into)
    assert main.heard
    assert more.heard


def with_password(server: Scripted) -> str:
    return server.url.replace("//", f"//{USER}:{PASSWORD}@") + "/simple"


def test_an_index_hears_the_password_and_nobody_else(
    wheel: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted_server() as server:
        server.says(403)
        monkeypatch.setenv("PIP_INDEX_URL", with_password(server))
        with pytest.raises(ForbiddenError) as raised:
            fetch_wheels(lock_of([wheel]), into)
        [(_, headers), *_] = server.heard
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert headers["Authorization"] == f"Basic {pair}"
    assert PASSWORD not in str(raised.value)
    assert USER not in str(raised.value)


def test_an_index_that_is_away_is_asked_again_later(
    wheel: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://{USER}:{PASSWORD}@127.0.0.1:1/simple")
    with pytest.raises(UnavailableError) as raised:
        fetch_wheels(lock_of([wheel]), into)
    assert PASSWORD not in str(raised.value)


def test_a_wheel_with_another_hash_is_told(
    wheel: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    lock = lock_of([wheel])
    write_wheel(wheel.parent, files={"tiny/__init__.py": b"evil = True\n"})
    with pytest.raises(CorruptedError, match="not the locked one"):
        fetch_wheels(lock, into)
    assert not list(into.iterdir())


def test_a_pip_that_never_ends_is_not_waited_for(
    wheel: Path, into: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pip_wheels, "_PATIENCE", 0.001)
    with pytest.raises(UnavailableError, match="is the index slow"):
        fetch_wheels(lock_of([wheel]), into)


def test_a_lock_that_is_none_is_told(into: Path, wheel: Path) -> None:
    lock = lock_of([wheel])
    with pytest.raises(PermanentError, match="it failed"):
        fetch_wheels(Lock("{not a lock", lock.digest, "mlflow", lock.python_version), into)


@pytest.mark.parametrize(
    ("output", "kind"),
    [
        ("OSError: [Errno 28] No space left on device: '/x'", PermanentError),
        ("ERROR: HTTP error 401 while getting https://u:p@index/x", ForbiddenError),
        ("User for 127.0.0.1:1234:", ForbiddenError),
        ("ReadTimeoutError: Read timed out.", UnavailableError),
        ("Downloading x.whl (503 kB) ERROR: HTTP error 502 while getting x", UnavailableError),
        ("Downloading x.whl (403 kB) ERROR: something else", PermanentError),
    ],
)
def test_the_words_of_pip_become_the_error_that_helps(output: str, kind: type[StepError]) -> None:
    error = read_fault(output)
    assert type(error) is kind
    assert "u:p" not in str(error)


def test_nothing_is_left_in_the_temporary_folder(
    wheel: Path, into: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setenv("UV_FIND_LINKS", str(wheel.parent))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    fetch_wheels(lock_of([wheel]), into)
    assert not list(scratch.iterdir())
