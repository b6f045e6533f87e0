"""What Laurel asks of a resolver, asked of the real uv and the package index it is set up with."""

import hashlib
import sys
from pathlib import Path

import pytest

from pipeline.adapters.uv_resolver import UvResolver
from pipeline.domain.evidence import Lock, Refused
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError, UnavailableError

PYTHON = Path(sys.executable)
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
SMALL = ("idna==3.10", "click>=8.1,<8.2")


def resolved(*requirements: str) -> Lock:
    lock = UvResolver().resolve(requirements, runtime="mlflow", python_version=MINOR)
    assert isinstance(lock, Lock), lock
    return lock


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_lock_pins_every_package_with_hashes_and_names_no_index() -> None:
    lock = resolved(*SMALL)
    pins = [line for line in lock.text.splitlines() if not line.startswith(" ")]
    assert [pin.split("==")[0] for pin in pins] == ["click", "idna"]
    assert lock.text.count("--hash=sha256:") >= len(pins)
    assert "://" not in lock.text
    assert (lock.runtime, lock.python_version) == ("mlflow", MINOR)
    assert lock.digest == Digest.of(lock.text.encode())


def test_the_same_requirements_give_the_same_lock() -> None:
    assert resolved(*SMALL) == resolved(*SMALL)


def test_a_clash_is_refused_by_name() -> None:
    refused = UvResolver().resolve(
        ["mlserver-mlflow==1.7.1", "mlflow==2.16.2"], runtime="mlserver", python_version="3.11"
    )
    assert isinstance(refused, Refused)
    assert "mlserver-mlflow==1.7.1 and mlflow==2.16.2" in refused.reason


def test_a_package_that_only_has_sources_is_refused_by_name() -> None:
    refused = UvResolver().resolve(["docopt==0.6.2"], runtime="mlflow", python_version="3.11")
    assert isinstance(refused, Refused)
    assert refused.reason.startswith("docopt==0.6.2 cannot be installed")


def test_an_index_that_does_not_answer_is_no_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://ada:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(UnavailableError, match="does not answer") as caught:
        UvResolver().resolve(["idna"], runtime="mlflow", python_version="3.11")
    assert "secret" not in str(caught.value)


def test_a_resolver_that_hangs_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.adapters.uv_resolver._PATIENCE", 0.0)
    with pytest.raises(UnavailableError, match="did not end"):
        UvResolver().resolve(["idna"], runtime="mlflow", python_version="3.11")


def test_a_lock_installs_to_the_same_bytes_in_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = resolved("idna==3.10", "click==8.1.8", "python-dotenv==1.0.1")
    UvResolver().install(lock, tmp_path / "one", python=PYTHON)
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.chdir(tmp_path)
    UvResolver().install(lock, Path("two/deeper"), python=PYTHON)
    one = contents(tmp_path / "one")
    assert one == contents(tmp_path / "two" / "deeper")
    assert "idna/core.py" in one
    assert any(path.endswith(".pyc") for path in one)
    assert not any(path.startswith("bin/") for path in one)


def test_a_wheel_that_has_not_the_locks_hash_is_not_installed(tmp_path: Path) -> None:
    text = f"idna==3.10 --hash=sha256:{'0' * 64}\n"
    lock = Lock(text, Digest.of(text.encode()), "mlflow", MINOR)
    with pytest.raises(CorruptedError):
        UvResolver().install(lock, tmp_path / "env", python=PYTHON)
    assert not (tmp_path / "env" / "idna").exists()
