import json
from pathlib import Path

import pytest

from pipeline.settings.load import load_settings
from pipeline.trust.key_file import load_key_file
from tests.unit.cli.conftest import answer, laurel

_FILES = ("laurel.yaml", "webhook.secret", "laurel.key", "laurel.key.password")


def test_init_writes_what_a_first_up_needs_for_its_owner_alone(folder: Path) -> None:
    answer("init", "--model", 'fraud scorer: "v1" #2', "--service", "fraud", "--port", "9090")
    assert {(folder / name).stat().st_mode & 0o777 for name in _FILES} == {0o600}
    settings = load_settings(folder / "laurel.yaml", {})
    (service,) = settings.services
    assert (service.name, service.model) == ("fraud", 'fraud scorer: "v1" #2')
    assert settings.server.port == 9090
    password = (folder / "laurel.key.password").read_text().rstrip()
    key = load_key_file(settings.signing.key, password)
    assert key.public.pem == (folder / "laurel.pub").read_bytes()


def test_init_says_what_to_enter_in_mlflow_but_no_secret(folder: Path) -> None:
    result = laurel("init", "--mlflow", "https://mlflow.example.com")
    assert "http://127.0.0.1:8080/webhooks/mlflow" in result.stdout
    assert "model_version_alias.created, model_version_alias.deleted" in result.stdout
    assert "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY=" in result.stdout
    assert (folder / "webhook.secret").read_text().strip() not in result.output
    settings = load_settings(folder / "laurel.yaml", {})
    assert (settings.mlflow.url, settings.services) == ("https://mlflow.example.com", ())


def test_a_model_names_its_service_where_nobody_else_does(folder: Path) -> None:
    told = answer("init", "--model", "fraud-scorer")
    assert told["mlflow_environment"]["MLFLOW_WEBHOOK_CACHE_TTL"] == "0"
    assert load_settings(folder / "laurel.yaml", {}).services[0].name == "fraud-scorer"


def test_init_overwrites_nothing(folder: Path) -> None:
    (folder / "laurel.yaml").write_text("mine")
    result = laurel("init")
    assert (result.exit_code, result.stdout) == (2, "")
    assert (folder / "laurel.yaml").read_text() == "mine"
    assert not (folder / "laurel.key").exists()


def test_init_keeps_the_secrets_that_are_there(folder: Path) -> None:
    for name in _FILES[1:]:
        (folder / name).write_text("mine")
    assert answer("init")["written"] == ["laurel.yaml"]
    assert {(folder / name).read_text() for name in _FILES[1:]} == {"mine"}


def test_init_writes_elsewhere_where_told(folder: Path) -> None:
    answer("init", "--config", "deep/er/mine.yaml")
    assert (folder / "deep/er/mine.yaml").exists()
    assert (folder / "deep/er/laurel.key").exists()


@pytest.mark.parametrize("service", ["Fraud", "9lives", "a_b"])
def test_a_service_that_cannot_be_named_so_is_told_before_anything_is_written(
    folder: Path, service: str
) -> None:
    result = laurel("init", "--model", "m", "--service", service)
    assert result.exit_code == 2
    assert "DNS label" in result.stderr
    assert list(folder.iterdir()) == []


def test_init_writes_through_no_link(folder: Path) -> None:
    (folder / "webhook.secret").symlink_to(folder / "elsewhere")
    result = laurel("init")
    assert result.exit_code == 2
    assert "webhook.secret is there already" in result.stderr
    assert not (folder / "elsewhere").exists()


def test_init_says_which_folder_could_not_be_made(folder: Path) -> None:
    (folder / "file").touch()
    result = laurel("init", "--config", "file/laurel.yaml")
    assert result.exit_code == 2
    assert "could not make file: " in result.stderr


def test_a_key_in_a_folder_that_is_not_there_says_so() -> None:
    result = laurel("keys", "create", "--out", "nowhere/k.key")
    assert result.exit_code == 2
    assert "could not write nowhere/k.key.password" in result.stderr


def test_keys_are_made_once_and_shown(folder: Path) -> None:
    answer("init")
    assert laurel("keys", "create").exit_code == 2
    made = laurel("keys", "create", "--out", "next.key")
    assert made.stdout.split() == ["next.key", "next.pub", "next.key.password"]
    shown = laurel("keys", "show")
    assert shown.stdout == (folder / "laurel.pub").read_text()
    (key,) = json.loads(laurel("keys", "show", "--json").stdout)
    assert key["pem"] == shown.stdout


def test_a_password_from_the_environment_is_not_written_down(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUREL_SIGNING__PASSWORD", "from the environment")
    assert answer("keys", "create", "--out", "k.key")["written"] == ["k.key", "k.pub"]
    assert not (folder / "k.key.password").exists()
    key = load_key_file(folder / "k.key", "from the environment")
    assert key.public.pem == (folder / "k.pub").read_bytes()
