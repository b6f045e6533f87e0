"""`laurel webhook` against a real MLflow, with a real receiver that its test call reaches."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from pipeline.adapters.mlflow_rest import MlflowRest
from pipeline.adapters.mlflow_webhooks import MlflowWebhooks
from pipeline.cli import main
from pipeline.domain.webhook import EVENTS, Webhook
from pipeline.errors import ConfigurationError
from pipeline.ledger import Ledger
from pipeline.settings.load import load_settings
from pipeline.settings.rotation import restore_secret
from pipeline.settings.secrets import GRACE
from tests.servers.answering import answering
from tests.servers.laurel import MODEL, SECRET, install
from tests.servers.mlflow import MlflowServer
from tests.servers.scripted import scripted_server
from tests.servers.waiting import until

pytestmark = pytest.mark.xdist_group("mlflow")


@pytest.fixture(scope="module", autouse=True)
def model(mlflow_server: MlflowServer) -> None:
    """Register the model that services watch."""
    with suppress(AssertionError):  # another module may have done so
        mlflow_server.create_model(MODEL)
    mlflow_server.register(MODEL)


@dataclass(frozen=True)
class Receiving:
    """A folder with laurel.yaml, and the receiver that answers for it."""

    folder: Path
    url: str
    ledger: Ledger


@pytest.fixture
def installed(mlflow_server: MlflowServer, tmp_path: Path) -> Iterator[Path]:
    """Lend a folder with laurel.yaml; no webhook leads to it in the end."""
    folder = install(tmp_path / "laurel", mlflow_server.url, tmp_path / "cache")
    yield folder
    typed(folder, "remove")


@pytest.fixture
def laurel(installed: Path) -> Iterator[Receiving]:
    """Lend a receiver that runs; no webhook leads to it yet."""
    with answering(installed) as ledger:
        yield Receiving(installed, url(installed), ledger)


def url(folder: Path) -> str:
    return f"http://127.0.0.1:{load_settings(folder / 'laurel.yaml', {}).server.port}"


def typed(folder: Path, *verb: str) -> Result:
    return CliRunner().invoke(main, ["webhook", *verb, "--config", str(folder / "laurel.yaml")])


def told(laurel: Receiving, verb: str) -> dict[str, Any]:
    result = typed(laurel.folder, verb, "--json")
    assert result.exit_code == 0, result.stderr
    (item,) = json.loads(result.stdout)["items"]
    return dict(item)


def listed(mlflow: MlflowServer, laurel: Receiving) -> list[dict[str, Any]]:
    found = mlflow.call("GET", "mlflow/webhooks").get("webhooks", [])
    return [each for each in found if each["url"] == f"{laurel.url}/webhooks/mlflow"]


def delivered(laurel: Receiving, mlflow: MlflowServer) -> None:
    """Move an alias that a service watches, and wait until the receiver recorded it."""
    before = len(laurel.ledger.deliveries.unsettled())
    mlflow.set_alias(MODEL, "champion", 1)
    until(lambda: len(laurel.ledger.deliveries.unsettled()) > before, "a delivery")


def test_an_installed_webhook_tells_of_moves_of_an_alias(
    laurel: Receiving, mlflow_server: MlflowServer
) -> None:
    made = told(laurel, "install")
    assert (made["was"], made["test"]) == ("not there", "taken")
    (webhook,) = listed(mlflow_server, laurel)
    assert webhook["webhook_id"] == made["webhook"]
    assert set(made["events"]) == set(EVENTS)
    delivered(laurel, mlflow_server)


def test_installing_again_leaves_one_webhook(
    laurel: Receiving, mlflow_server: MlflowServer
) -> None:
    first = told(laurel, "install")
    again = told(laurel, "install")
    assert (again["webhook"], again["was"], again["test"]) == (first["webhook"], "there", "taken")
    assert len(listed(mlflow_server, laurel)) == 1


def test_installing_mends_a_webhook_that_somebody_made_by_hand(
    laurel: Receiving, mlflow_server: MlflowServer
) -> None:
    by_hand = {
        "name": "made-by-hand",
        "url": f"{laurel.url}/webhooks/mlflow",
        "secret": "another secret than Laurel's",
        "status": "DISABLED",
        "events": [{"entity": "REGISTERED_MODEL", "action": "CREATED"}],
    }
    for _ in range(2):
        mlflow_server.call("POST", "mlflow/webhooks", by_hand)
    mended = told(laurel, "install")
    assert (mended["was"], mended["removed"], mended["test"]) == ("there", 1, "taken")
    (webhook,) = listed(mlflow_server, laurel)
    assert (webhook["status"], len(webhook["events"])) == ("ACTIVE", 2)
    delivered(laurel, mlflow_server)


def test_a_rotated_secret_is_used_at_once_and_the_old_one_counts_a_while(
    laurel: Receiving, mlflow_server: MlflowServer
) -> None:
    told(laurel, "install")
    assert told(laurel, "rotate")["test"] == "taken"
    secret, old = laurel.folder / "webhook.secret", laurel.folder / "webhook.secret.old"
    assert secret.read_text().strip() != SECRET
    assert old.read_text() == SECRET
    assert [path.stat().st_mode & 0o777 for path in (secret, old)] == [0o600, 0o600]
    delivered(laurel, mlflow_server)
    (webhook,) = listed(mlflow_server, laurel)
    path = f"mlflow/webhooks/{webhook['webhook_id']}"
    mlflow_server.call("PATCH", path, {"secret": SECRET})  # as a cache that is not empty yet
    delivered(laurel, mlflow_server)
    long_ago = time.time() - GRACE - 1
    os.utime(old, (long_ago, long_ago))
    tried = mlflow_server.call("POST", f"{path}/test", {})["result"]
    assert tried["response_status"] == 401


def test_with_a_list_of_files_mlflow_gets_the_first_ones_secret(
    installed: Path, mlflow_server: MlflowServer
) -> None:
    config = installed / "laurel.yaml"
    assert typed(installed, "install").exit_code == 0
    (installed / "new.secret").write_text("a secret that another system made\n")
    said = yaml.safe_load(config.read_text())
    said["webhook"] = {"secret_file": ["new.secret", "webhook.secret"]}
    config.write_text(yaml.safe_dump(said))
    with answering(installed) as ledger:
        laurel = Receiving(installed, url(installed), ledger)
        delivered(laurel, mlflow_server)  # MLflow has the old one still
        result = typed(installed, "rotate")
        assert (result.exit_code, "taken" in result.stdout) == (0, True)
        assert "in ten minutes take" in result.stderr
        delivered(laurel, mlflow_server)
    assert (installed / "webhook.secret").read_text() == SECRET


def test_removing_twice_is_fine(laurel: Receiving, mlflow_server: MlflowServer) -> None:
    told(laurel, "install")
    assert "removed 1" in typed(laurel.folder, "remove").stdout
    assert json.loads(typed(laurel.folder, "remove", "--json").stdout)["removed"] == 0
    assert listed(mlflow_server, laurel) == []


def test_without_a_receiver_it_says_what_to_start(installed: Path) -> None:
    result = typed(installed, "install")
    assert result.exit_code == 0
    assert "start `laurel up`" in result.stderr
    assert "removed 1" in typed(installed, "remove").stdout


@pytest.mark.parametrize(
    ("status", "code", "said", "kept"),
    [(403, 2, "administrators", SECRET), (503, 3, "`laurel webhook install` makes sure", None)],
)
def test_a_secret_that_mlflow_was_not_given_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: int, said: str, kept: str
) -> None:
    with scripted_server() as script:
        folder = install(tmp_path / "laurel", script.url, None)
        webhook = {"webhook_id": "7", "url": f"{url(folder)}/webhooks/mlflow"}
        script.says(200, {"webhooks": [webhook]})
        change = MlflowWebhooks.change

        def refused(*args: Any, **kwargs: Any) -> Webhook:  # noqa: ANN401 - as it comes
            script.says(status, {})
            return change(*args, **kwargs)

        monkeypatch.setattr(MlflowWebhooks, "change", refused)
        result = typed(folder, "rotate")
    assert (result.exit_code, said in result.stderr) == (code, True)
    secret, old = folder / "webhook.secret", folder / "webhook.secret.old"
    assert old.exists() == (kept is None)
    assert (secret.read_text() == SECRET) == (kept is not None)


@pytest.mark.parametrize(
    ("status", "answer", "said"),
    [
        (403, {}, "administrators"),
        (404, b"not found", "3.3 is the first"),
        (400, {"message": "Invalid webhook URL scheme"}, "MLflow says: Invalid webhook URL scheme"),
        (401, {}, "LAUREL_MLFLOW__USERNAME"),
    ],
)
def test_why_mlflow_takes_no_webhook_is_told(
    tmp_path: Path, status: int, answer: object, said: str
) -> None:
    with scripted_server() as script:
        script.says(status, answer)
        folder = install(tmp_path / "laurel", script.url, None)
        assert said in typed(folder, "install").stderr


def test_a_webhook_that_is_gone_needs_no_removing() -> None:
    with scripted_server() as script:
        script.says(404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such webhook"})
        webhook = Webhook("7", "laurel", "http://127.0.0.1:1", EVENTS, active=True)
        MlflowWebhooks(MlflowRest(script.url)).delete(webhook)
        assert script.heard


def test_secrets_that_cannot_be_replaced_say_what_to_do_instead(
    laurel: Receiving, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object) -> int:
        raise OSError(30, "Read-only file system")

    told(laurel, "install")
    monkeypatch.setattr("pipeline.settings.rotation.os.open", full)
    result = typed(laurel.folder, "rotate")
    assert (result.exit_code, "name two files" in result.stderr) == (2, True)


def test_a_secret_that_cannot_be_restored_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be replaced"):
        restore_secret(tmp_path / "webhook.secret")
