"""Where logins are found, and which of several is taken."""

import base64
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.distribution.credentials import Credentials
from pipeline.distribution.docker_config import DockerConfig
from pipeline.distribution.login import Login
from pipeline.distribution.request import DOCKER_HUB
from pipeline.errors import ConfigurationError

HOST = "registry.example.com"
SECRET = "open:sésame"
_NAMES = st.text(st.characters(codec="utf-8", exclude_characters=":\0"), min_size=1)
_PASSWORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
_ENTRIES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("auth", "username", "identitytoken", "registrytoken"), _JSON)
)
_SECTIONS = st.fixed_dictionaries(
    {},
    optional={
        "auths": st.dictionaries(st.sampled_from([HOST, f"https://{HOST}/v1/"]), _ENTRIES) | _JSON,
        "credHelpers": st.dictionaries(st.sampled_from([HOST, "other"]), _JSON) | _JSON,
        "credsStore": _JSON,
    },
)


class Home:
    """A home folder with docker's and podman's files, and an environment that names it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"HOME": str(folder), "PATH": f"{folder}/bin:/usr/bin:/bin"}
        self.credentials = Credentials(self.environment)

    def write(self, content: object, path: str = ".docker/config.json") -> Path:
        """Write a file below the home."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    def helper(self, name: str, script: str) -> None:
        """Install a credential helper, a shell script."""
        file = self.write(f"#!/bin/sh\n{script}\n", f"bin/docker-credential-{name}")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)

    def login(self, host: str = HOST, path: str = "ml/fraud") -> Login:
        return self.credentials.login(host, path)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def auth(username: str, password: str = SECRET) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def test_a_login_of_docker_is_found_and_says_where(home: Home) -> None:
    home.write({"auths": {HOST: auth("ada", "s:cret")}})
    login = home.login()
    assert (login.username, login.password) == ("ada", "s:cret")
    assert str(login) == "user ada (auths of ~/.docker/config.json)"
    assert login.basic == "Basic YWRhOnM6Y3JldA=="


def test_no_secret_is_in_what_a_login_prints() -> None:
    login = Login("somewhere", "ada", "secret-1", "secret-2", "secret-3")
    assert "secret" not in repr(login) + str(login)
    assert login.gives_away("it says secret-2 again")
    assert login.gives_away(f"bad header {login.basic.removeprefix('Basic ')}")
    assert not login.gives_away("it says nothing")


def test_nothing_anywhere_is_an_anonymous_login_that_says_what_was_looked_at(home: Home) -> None:
    assert home.login().is_anonymous
    assert home.login().source == "there are none in ~/.docker/config.json"
    home.write({"auths": {"other.example.com": auth("ada")}})
    home.write({}, ".config/containers/auth.json")
    assert home.login().source.endswith("~/.docker/config.json or ~/.config/containers/auth.json")
    assert home.login().basic == ""


def test_without_a_home_nothing_is_looked_at() -> None:
    assert Credentials({}).login(HOST).source == "there are none in any file"


def test_docker_config_names_another_folder(home: Home, tmp_path: Path) -> None:
    home.write({"auths": {HOST: auth("at-home")}})
    home.write({"auths": {HOST: auth("elsewhere")}}, "other/config.json")
    home.environment["DOCKER_CONFIG"] = str(tmp_path / "other")
    assert home.login().username == "elsewhere"


def test_the_first_place_with_a_login_is_taken(home: Home, tmp_path: Path) -> None:
    home.environment["XDG_RUNTIME_DIR"] = str(tmp_path / "run")
    home.environment["REGISTRY_AUTH_FILE"] = str(tmp_path / "podman.json")
    places = [
        ".config/containers/auth.json",
        "run/containers/auth.json",
        "podman.json",
        ".docker/config.json",
    ]
    for place in places:
        home.write({"auths": {HOST: auth(place)}}, place)
        assert home.login().username == place
    home.environment["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {HOST: auth("from-ci")}})
    assert str(home.login()) == "user from-ci (auths of DOCKER_AUTH_CONFIG)"


def test_podmans_file_may_lie_in_another_configuration_folder(home: Home, tmp_path: Path) -> None:
    home.environment["XDG_CONFIG_HOME"] = str(tmp_path / "settings")
    home.write({"auths": {HOST: auth("ada")}}, "settings/containers/auth.json")
    assert home.login().username == "ada"


def test_a_file_that_changes_is_read_again(home: Home) -> None:
    file = home.write({"auths": {HOST: auth("ada")}})
    assert home.login().username == "ada"
    home.write({"auths": {HOST: auth("grace")}})
    os.utime(file, ns=(1, 1))
    assert home.login().username == "grace"
    file.unlink()
    assert home.login().is_anonymous


@pytest.mark.parametrize(
    "key",
    [
        HOST,
        HOST.upper(),
        f"https://{HOST}",
        f"http://{HOST}/",
        f"https://{HOST}/v1/",
        f"https://{HOST}/v2/",
        f"{HOST}/v1/",
        f"https://{HOST}/anything",
    ],
)
def test_keys_of_old_and_new_dockers_mean_the_registry(home: Home, key: str) -> None:
    home.write({"auths": {"other.example.com": auth("grace"), key: auth("ada")}})
    assert home.login().username == "ada"


@pytest.mark.parametrize(
    "key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io", DOCKER_HUB]
)
def test_docker_hub_has_many_names(home: Home, key: str) -> None:
    home.write({"auths": {key: auth("ada")}})
    assert home.login(DOCKER_HUB, "library/python").username == "ada"
    assert home.login("docker.io.example.com").is_anonymous


def test_a_port_belongs_to_the_registrys_name(home: Home) -> None:
    home.write({"auths": {f"{HOST}:5000": auth("ada")}})
    assert home.login(f"{HOST}:5000").username == "ada"
    assert home.login(HOST).is_anonymous


def test_the_most_particular_of_podmans_keys_is_taken(home: Home) -> None:
    home.write(
        {
            "auths": {
                f"{HOST}/ml": auth("ml"),
                f"https://{HOST}/": auth("url"),
                HOST: auth("all"),
                f"{HOST}/ml/fraud": auth("fraud"),
                f"{HOST}/ml/empty": {},
            }
        }
    )
    paths = ("ml/fraud", "ml/fraud/more", "ml/frau", "ml/empty", "mlx", "")
    found = [home.login(path=path).username for path in paths]
    assert found == ["fraud", "fraud", "ml", "ml", "all", "all"]


def test_tokens_are_read_where_docker_writes_them(home: Home) -> None:
    home.write({"auths": {HOST: {**auth("0000", ""), "identitytoken": "i"}}})
    assert home.login() == Login("auths of ~/.docker/config.json", "0000", "", "i")
    home.write({"auths": {HOST: {"registrytoken": "r"}}})
    assert home.login().registry_token == "r"
    assert str(home.login()) == "the token (auths of ~/.docker/config.json)"
    home.write({"auths": {HOST: {"username": "ada", "password": "p", "auth": None}}})
    assert (home.login().username, home.login().password) == ("ada", "p")


def test_a_helper_is_asked_for_its_registry_as_docker_asks(home: Home) -> None:
    home.helper(
        "vault", 'read -r server || :; echo "{\\"Username\\":\\"$server\\",\\"Secret\\":\\"s\\"}"'
    )
    home.write({"credHelpers": {HOST: "vault"}, "auths": {HOST: auth("ada")}})
    assert str(home.login()) == f"user {HOST} (credHelpers vault of ~/.docker/config.json)"
    home.write({"credsStore": "vault"})
    assert home.login(DOCKER_HUB).username == "https://index.docker.io/v1/"
    assert "credsStore vault" in home.login(DOCKER_HUB).source


def test_a_helpers_identity_token_is_no_password(home: Home) -> None:
    home.helper("vault", """echo '{"Username":"<token>","Secret":"i"}'""")
    home.write({"credsStore": "vault"})
    assert home.login() == Login("credsStore vault of ~/.docker/config.json", identity_token="i")


def test_what_is_written_down_counts_where_a_helper_has_nothing(home: Home) -> None:
    home.helper("vault", "echo credentials not found in native keychain; exit 1")
    home.write({"credsStore": "vault", "auths": {HOST: auth("ada")}})
    assert home.login().username == "ada"
    home.write({"credsStore": "vault"})
    assert home.login().is_anonymous


def test_a_helper_that_is_named_with_nothing_switches_the_store_off(home: Home) -> None:
    home.write({"credsStore": "missing", "credHelpers": {HOST: ""}, "auths": {HOST: auth("ada")}})
    assert home.login().username == "ada"


def test_a_helper_is_asked_again_only_where_that_is_wanted(home: Home) -> None:
    home.helper(
        "vault", 'echo x >> "$HOME/asked"; echo "{\\"Username\\":\\"a\\",\\"Secret\\":\\"s\\"}"'
    )
    home.write({"credsStore": "vault"})
    for _ in range(3):
        home.login()
    asked = home.folder / "asked"
    assert asked.read_text() == "x\n"
    home.credentials.login(HOST, "ml/fraud", fresh=True)
    assert asked.read_text() == "x\nx\n"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "not JSON"),
        ("[]", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ({"auths": []}, ""),
        ({"auths": ["x"]}, "auths is not an object"),
        ({"auths": {HOST: "x"}}, "not name:password"),
        ({"auths": {HOST: {"auth": "%%%"}}}, "not name:password"),
        ({"auths": {HOST: {"auth": base64.b64encode(b"no colon").decode()}}}, "not name:password"),
        ({"auths": {HOST: {"auth": base64.b64encode(b"\xff:x").decode()}}}, "not name:password"),
        ({"auths": {HOST: {"username": 7}}}, "no text"),
        ({"auths": {HOST: {"username": "\ud800"}}}, "no text"),
        ({"auths": {HOST: {"registrytoken": "a\nb"}}}, "registrytoken"),
        ({"credHelpers": 7}, "credHelpers is not an object"),
        ({"credHelpers": {HOST: 7}}, "credHelpers is not a helper's name"),
        ({"credsStore": ["x"]}, "credsStore is not a helper's name"),
        ({"credsStore": "../../evil"}, "no name of a credential helper"),
        ({"credsStore": "absent"}, "docker-credential-absent is not in PATH"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(home: Home, content: object, what: str) -> None:
    home.write(content)
    if not what:
        assert home.login().is_anonymous
        return
    with pytest.raises(ConfigurationError, match=what) as caught:
        home.login()
    assert "~/.docker/config.json" in str(caught.value)


def test_an_empty_file_says_nothing(home: Home) -> None:
    home.write("\n")
    assert home.login().is_anonymous


def test_a_file_that_cannot_be_read_is_named(home: Home) -> None:
    (home.folder / ".docker/config.json").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"~/\.docker/config\.json cannot be read"):
        home.login()


def test_a_file_without_end_is_not_read_to_its_end(home: Home, tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(5 << 20)
    home.environment["REGISTRY_AUTH_FILE"] = str(large)
    with pytest.raises(ConfigurationError, match="larger than 4 MiB"):
        home.login()


@given(_NAMES, _PASSWORDS)
def test_every_name_and_password_is_read_as_docker_wrote_it(username: str, password: str) -> None:
    content = json.dumps({"auths": {HOST: auth(username, password)}}).encode()
    (login,) = DockerConfig.parse("file", content).logins(HOST, "ml/fraud")
    assert (login.username, login.password) == (username, password)


@given(_SECTIONS)
def test_no_json_breaks_the_lookup_but_with_our_error(content: object) -> None:
    broken = ""
    try:
        config = DockerConfig.parse("file", json.dumps(content).encode())
        config.helper(HOST)
        assert not any(login.is_anonymous for login in config.logins(HOST, "ml/fraud"))
    except ConfigurationError as error:
        broken = str(error)
    assert not broken or broken.startswith(("file", "auths of file"))


@given(st.binary())
def test_no_bytes_break_the_lookup_but_with_our_error(content: bytes) -> None:
    broken = ""
    try:
        DockerConfig.parse("file", content)
    except ConfigurationError as error:
        broken = str(error)
    assert not broken or broken.startswith("file is not JSON")
