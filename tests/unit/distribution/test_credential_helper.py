"""Credential helpers: programs that are asked, and not trusted further than that."""

import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.distribution.credential_helper import ask_helper
from pipeline.distribution.login import Login
from pipeline.errors import ConfigurationError, UnavailableError

Install = Callable[[str], None]
SOURCE = "credsStore vault of ~/.docker/config.json"


@pytest.fixture
def install(tmp_path: Path) -> Install:
    def write(script: str) -> None:
        file = tmp_path / "docker-credential-vault"
        file.write_text(script)
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    return write


def ask(folder: Path, *, patience: float = 30.0) -> Login | None:
    environment = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": str(folder)}
    return ask_helper(
        "vault",
        "registry.example.com",
        source=SOURCE,
        environment=environment,
        patience=patience,
    )


def is_alive(state: Path) -> bool:
    try:
        return state.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_helper_is_told_the_server_and_nothing_else(install: Install, tmp_path: Path) -> None:
    install(
        '#!/bin/sh\necho "$@" > "$HOME/arguments"; cat > "$HOME/input"\n'
        """echo '{"ServerURL":"x","Username":"ada","Secret":"secret"}'"""
    )
    assert ask(tmp_path) == Login(SOURCE, "ada", "secret")
    assert (tmp_path / "arguments").read_text() == "get\n"
    assert (tmp_path / "input").read_text() == "registry.example.com"


def test_a_helper_that_does_not_listen_may_answer(install: Install, tmp_path: Path) -> None:
    install("""#!/bin/sh\nexec <&-\necho '{"Username":"ada","Secret":"secret"}'""")
    assert ask(tmp_path) == Login(SOURCE, "ada", "secret")


@pytest.mark.parametrize(
    "answer",
    ['{"Username":"","Secret":""}', '{"Username":"<token>","Secret":""}'],
)
def test_an_empty_answer_is_no_login(install: Install, tmp_path: Path, answer: str) -> None:
    install(f"#!/bin/sh\necho '{answer}'")
    assert ask(tmp_path) is None


@pytest.mark.parametrize(
    "answer", ["", "{", "[]", "null", '{"Username":"ada"}', '{"Username":"ada","Secret":7}']
)
def test_an_answer_that_is_something_else_is_said(
    install: Install, tmp_path: Path, answer: str
) -> None:
    install(f"#!/bin/sh\necho '{answer}'")
    with pytest.raises(ConfigurationError, match="docker-credential-vault answers with something"):
        ask(tmp_path)


def test_a_helper_that_fails_is_unavailable_and_not_quoted(
    install: Install, tmp_path: Path
) -> None:
    install("#!/bin/sh\necho the secret is hunter2; echo hunter2 >&2; exit 3")
    with pytest.raises(UnavailableError, match="it ended with 3; try: echo registry") as caught:
        ask(tmp_path)
    assert caught.value.subject == "docker-credential-vault"
    assert "hunter2" not in str(caught.value)


def test_a_helper_that_never_answers_is_ended_with_what_it_started(
    install: Install, tmp_path: Path
) -> None:
    install('#!/bin/sh\nsleep 1000 & echo $! > "$HOME/child"; wait')
    with pytest.raises(UnavailableError, match=r"no answer within 1\.5 s"):
        ask(tmp_path, patience=1.5)
    state = Path("/proc", (tmp_path / "child").read_text().strip(), "stat")
    deadline = time.monotonic() + 30
    while is_alive(state):
        assert time.monotonic() < deadline


def test_a_helper_that_closes_its_output_and_stays_is_ended(
    install: Install, tmp_path: Path
) -> None:
    install("#!/bin/sh\nexec >&-\nexec sleep 1000")
    with pytest.raises(UnavailableError, match="no answer within"):
        ask(tmp_path, patience=0.5)


def test_a_helper_that_never_stops_talking_is_ended(install: Install, tmp_path: Path) -> None:
    install("#!/bin/sh\nexec yes")
    with pytest.raises(UnavailableError, match="or one without end"):
        ask(tmp_path)


def test_a_file_that_is_no_program_is_said(install: Install, tmp_path: Path) -> None:
    install("\x7fELF that is none")
    with pytest.raises(ConfigurationError, match="does not run"):
        ask(tmp_path)


@pytest.mark.parametrize("name", ["../evil", "/bin/sh", "a b", "", "-x", ".x", "a\nb", "x" * 80])
def test_a_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="is no name of a credential helper"):
        ask_helper(name, "registry.example.com", source=SOURCE, environment={})


def test_the_folder_that_one_stands_in_is_not_searched(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("#!/bin/sh\nexit 1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match="is not in PATH"):
        ask_helper("vault", "r.example.com", source=SOURCE, environment={"PATH": "."})
