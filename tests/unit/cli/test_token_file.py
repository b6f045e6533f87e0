from pathlib import Path

import pytest

from pipeline.cli.token_file import provide_token, read_token, read_token_for
from pipeline.errors import ConfigurationError


def test_a_token_is_made_once_for_its_owner_alone(folder: Path) -> None:
    path = folder / "laurel.token"
    assert provide_token(path, "127.0.0.1")
    made = read_token(path)
    assert not provide_token(path, "localhost")
    assert read_token(path) == made
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "laurel.example.com", ""])  # noqa: S104 - refused
def test_a_token_that_laurel_made_opens_this_machine_alone(folder: Path, host: str) -> None:
    with pytest.raises(ConfigurationError, match="write a token of your own"):
        provide_token(folder / "laurel.token", host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_this_machine_has_several_names(folder: Path, host: str) -> None:
    assert provide_token(folder / "laurel.token", host)


def test_a_token_of_one_s_own_opens_any_address(folder: Path) -> None:
    (folder / "laurel.token").write_text("one of my own, long enough\n")
    assert not provide_token(folder / "laurel.token", "192.0.2.7")


def test_a_token_that_is_not_there_names_the_next_step(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="start `laurel up`"):
        read_token(folder / "laurel.token")


def test_an_empty_token_opens_nothing(folder: Path) -> None:
    (folder / "laurel.token").write_text("\n")
    with pytest.raises(ConfigurationError, match="is empty"):
        read_token(folder / "laurel.token")


@pytest.mark.parametrize(
    "server", ["http://127.0.0.1:1", "http://localhost", "http://[::1]:80", "https://Laurel.lan/x"]
)
def test_the_token_opens_the_server_of_its_settings(folder: Path, server: str) -> None:
    path = folder / "laurel.token"
    provide_token(path, "127.0.0.1")
    assert read_token_for(server, path, "laurel.lan") == read_token(path)


@pytest.mark.parametrize(
    "server",
    [
        "http://192.0.2.7:8080",
        "http://laurel.lan.example.com",
        "http://localhost@192.0.2.7",
        "http://[x",
    ],
)
def test_the_token_is_never_sent_to_another_machine(folder: Path, server: str) -> None:
    path = folder / "laurel.token"
    provide_token(path, "127.0.0.1")
    with pytest.raises(ConfigurationError, match="LAUREL_TOKEN"):
        read_token_for(server, path, "laurel.lan")
