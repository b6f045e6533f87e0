from pathlib import Path

import pytest

from pipeline.cli.asked import url_of
from pipeline.errors import ConfigurationError
from tests.unit.cli.conftest import answer, laurel


def ledger_of(*options: str) -> str:
    return str(answer("migrate", *options)["ledger"])


@pytest.fixture
def two(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put settings here, and others where LAUREL_CONFIG points."""
    (folder / "laurel.yaml").write_text("ledger: sqlite:///here.db")
    (folder / "other.yaml").write_text("ledger: sqlite:///other.db")
    monkeypatch.setenv("LAUREL_CONFIG", str(folder / "other.yaml"))
    return folder


def test_settings_of_the_folder_come_first(two: Path) -> None:
    assert ledger_of() == f"sqlite:///{two}/here.db"


def test_settings_that_the_environment_names_come_next(two: Path) -> None:
    (two / "laurel.yaml").unlink()
    assert ledger_of() == f"sqlite:///{two}/other.db"


def test_settings_that_are_named_come_before_all(two: Path) -> None:
    assert ledger_of("--config", "other.yaml") == f"sqlite:///{two}/other.db"


def test_without_settings_the_next_step_is_named() -> None:
    result = laurel("migrate")
    assert result.exit_code == 2
    assert "`laurel init` writes one" in result.stderr


def test_migrate_says_so_to_people(folder: Path) -> None:
    (folder / "laurel.yaml").touch()
    assert laurel("migrate").stdout == f"sqlite:///{folder}/laurel.db has the newest schema\n"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),  # noqa: S104 - nothing is bound here
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("laurel.example.com", "http://laurel.example.com:80"),
    ],
)
def test_a_server_is_called_at_an_address_that_can_be_reached(host: str, url: str) -> None:
    assert url_of(host, 80) == url


def test_any_port_is_no_address() -> None:
    with pytest.raises(ConfigurationError, match="--server"):
        url_of("127.0.0.1", 0)


def test_steps_are_the_promotion_s_own() -> None:
    listed = [each["step"] for each in answer("steps")]
    assert listed[:3] == ["resolve", "check", "recall"]
    assert laurel("steps").stdout.splitlines()[1].split()[0] == "resolve"
