"""Settings become neighbours; what they cannot become is said before anything starts."""

from pathlib import Path

import pytest

from pipeline import wiring
from pipeline.adapters.remote_registry import RemoteRegistry
from pipeline.errors import ConfigurationError
from pipeline.settings import Settings
from pipeline.settings.load import load_settings
from pipeline.settings.secrets import read_secret
from pipeline.trust.key_file import create_key_file


def settings(folder: Path, text: str = "", **environment: str) -> Settings:
    path = folder / "laurel.yaml"
    path.write_text(text)
    return load_settings(path, environment)


def test_images_go_into_a_layout_folder_by_default(tmp_path: Path) -> None:
    wiring.open_images(settings(tmp_path))
    assert (tmp_path / "images" / "oci-layout").is_file()


def test_images_go_to_the_registry_that_the_settings_name(tmp_path: Path) -> None:
    found = settings(tmp_path, "registry: {location: registry.example.com/ml}")
    assert isinstance(wiring.open_images(found), RemoteRegistry)
    assert not (tmp_path / "images").exists()


def test_a_private_authority_that_cannot_be_read_is_told_at_once(tmp_path: Path) -> None:
    text = "registry: {location: registry.example.com/ml, ca_file: ca.pem}"
    with pytest.raises(ConfigurationError, match=r"registry\.ca_file: .*/ca\.pem"):
        wiring.open_images(settings(tmp_path, text))


@pytest.mark.parametrize("how", ["a variable", "a file"])
def test_the_keys_password_comes_from_a_variable_or_a_file(tmp_path: Path, how: str) -> None:
    key = create_key_file(tmp_path / "laurel.key", "a password")
    if how == "a file":
        (tmp_path / "laurel.key.password").write_text("a password\n")
        made = wiring.signer(settings(tmp_path))
    else:
        made = wiring.signer(settings(tmp_path, LAUREL_SIGNING__PASSWORD="a password"))
    assert made.key_id == key.public.key_id


def test_without_a_password_it_says_where_one_is_looked_for(tmp_path: Path) -> None:
    create_key_file(tmp_path / "laurel.key", "a password")
    with pytest.raises(ConfigurationError, match="LAUREL_SIGNING__PASSWORD"):
        wiring.signer(settings(tmp_path, "signing: {password_file: null}"))
    with pytest.raises(ConfigurationError, match="`laurel init` writes one"):
        wiring.signer(settings(tmp_path))


def test_the_public_key_may_be_all_that_a_verifier_has(tmp_path: Path) -> None:
    key = create_key_file(tmp_path / "laurel.key", "a password")
    found = settings(tmp_path, LAUREL_SIGNING__PASSWORD="a password")
    with_private = wiring.trust_policy(found)
    (tmp_path / "laurel.key").unlink()
    assert wiring.trust_policy(found) == with_private
    assert with_private.keys == (key.public.pem,)


def test_without_the_public_file_the_policy_has_the_private_keys_public_half(
    tmp_path: Path,
) -> None:
    key = create_key_file(tmp_path / "laurel.key", "a password")
    (tmp_path / "laurel.pub").unlink()
    found = settings(tmp_path, LAUREL_SIGNING__PASSWORD="a password")
    assert wiring.trust_policy(found).keys == (key.public.pem,)


@pytest.mark.parametrize("content", ["", "\n", "x" * 5000])
def test_a_secret_is_neither_empty_nor_endless(tmp_path: Path, content: str) -> None:
    (tmp_path / "secret").write_text(content)
    with pytest.raises(ConfigurationError, match="secret of 1 to 4096 bytes"):
        read_secret(tmp_path / "secret", "`laurel init`")


def test_where_model_code_cannot_be_isolated_nothing_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        wiring.serving, "why_no_isolation", lambda: "user namespaces are switched off"
    )
    found = settings(tmp_path)
    ledger = wiring.open_ledger(found)
    with pytest.raises(ConfigurationError, match="switched off; run as root, allow user"):
        wiring.build_worker(found, ledger)
    ledger.close()


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LAUREL_MLFLOW__TOKEN": "hunter2"},
        {"LAUREL_MLFLOW__USERNAME": "ada", "LAUREL_MLFLOW__PASSWORD": "hunter2"},
        {"LAUREL_MLFLOW__USERNAME": "ada"},
    ],
    ids=["nobody", "a token", "a password", "a name alone"],
)
def test_mlflow_is_asked_with_the_credentials_of_the_environment(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    create_key_file(tmp_path / "laurel.key", "a password")
    found = settings(
        tmp_path,
        f"worker: {{cache: {tmp_path}/cache}}\nserving: {{isolation: none}}",
        LAUREL_SIGNING__PASSWORD="a password",
        **environment,
    )
    ledger = wiring.open_ledger(found)
    worker = wiring.build_worker(found, ledger)
    assert "hunter2" not in repr(vars(worker))
    ledger.close()


def test_the_cache_is_the_users_unless_settings_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/ada")
    assert wiring.cache_folder(settings(tmp_path)) == Path("/var/cache/ada/laurel")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert wiring.cache_folder(settings(tmp_path)) == Path.home() / ".cache/laurel"
    assert wiring.cache_folder(settings(tmp_path, "worker: {cache: here}")) == tmp_path / "here"


@pytest.mark.parametrize(("host", "name"), [("::1", "[::1]"), ("Laurel.Example", "laurel.example")])
def test_the_host_header_may_be_the_address_that_it_listens_at(
    tmp_path: Path, host: str, name: str
) -> None:
    found = settings(tmp_path, f"server: {{host: '{host}', allowed_hosts: [laurel.corp]}}")
    assert {name, "localhost", "127.0.0.1", "laurel.corp"} <= wiring._names(found.server)
