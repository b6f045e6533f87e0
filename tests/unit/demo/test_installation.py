import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline.demo import installation
from pipeline.demo.installation import CANARY, Installation, JsonApi, install
from pipeline.errors import PermanentError, UnavailableError
from pipeline.settings.load import load_settings
from pipeline.trust.key_file import load_key_file


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Install once: making the key's password strong takes half a second."""
    return install(tmp_path_factory.mktemp("demo"))


def test_laurel_accepts_the_settings_that_are_written(installed: Installation) -> None:
    settings = load_settings(installed.folder / "laurel.yaml", {})
    assert settings.mlflow.url == installed.mlflow_url
    assert (settings.server.port, settings.serving.port) == (installed.port, installed.front_port)
    assert settings.plans()["fraud"].canary == CANARY
    assert settings.plans()["fraud"].analysis.confidence == 0.99


def test_the_key_opens_with_the_password_that_is_written(installed: Installation) -> None:
    password = (installed.folder / "laurel.key.password").read_text().strip()
    key = load_key_file(installed.folder / "laurel.key", password)
    assert key.public.pem == (installed.folder / "laurel.pub").read_bytes()


def test_secrets_are_the_owners_alone(installed: Installation) -> None:
    for name in ("laurel.key", "laurel.key.password", "webhook.secret"):
        assert (installed.folder / name).stat().st_mode & 0o777 == 0o600


def test_three_different_ports_are_chosen(installed: Installation) -> None:
    assert len({installed.port, installed.front_port, installed.mlflow_port}) == 3


@pytest.mark.parametrize(("reason", "isolation"), [("no namespaces", "none"), (None, "namespaces")])
def test_isolation_is_given_up_only_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str | None, isolation: str
) -> None:
    monkeypatch.setattr(installation, "why_no_isolation", lambda: reason)
    made = install(tmp_path)
    assert made.no_isolation == reason
    assert load_settings(tmp_path / "laurel.yaml", {}).serving.isolation == isolation


def test_a_verb_is_called_with_this_installation(installed: Installation) -> None:
    ran = installed.call("keys", "show")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == (installed.folder / "laurel.pub").read_text()


class _Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = self.path == "/known" and self.headers["Authorization"] == "Bearer t"
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(b'{"phase": "pending"}')

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Say nothing."""


@pytest.fixture
def api(tmp_path: Path) -> Iterator[JsonApi]:
    """Lend a reader of a small API whose server has a log."""
    (tmp_path / "server.log").write_text("it is full\n")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Api) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        api = JsonApi(f"http://127.0.0.1:{server.server_port}", "t", tmp_path / "server.log")
        yield api
        api.close()
        server.shutdown()
        thread.join()


def test_the_api_is_read_with_the_token(api: JsonApi) -> None:
    assert api.get("/known") == {"phase": "pending"}


def test_an_answer_that_is_no_200_ends_with_the_servers_last_words(api: JsonApi) -> None:
    with pytest.raises(PermanentError, match=r"404\nit is full"):
        api.get("/other")


def test_a_server_that_is_gone_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match="does not answer"):
        JsonApi("http://127.0.0.1:9").get("/known")
