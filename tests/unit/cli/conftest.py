"""A folder as `laurel init` leaves it, the command line in it, and a real server beside it."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from click.testing import CliRunner, Result

from pipeline import wiring
from pipeline.cli import main
from pipeline.cli.token_file import provide_token
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Kind, Phase, Promotion, Trigger, TriggerKind
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.ledger import Ledger, new_id
from pipeline.settings.load import load_settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST, SECOND = (ImageRef("ml/fraud", Digest.of(text)) for text in (b"first", b"second"))


def laurel(*arguments: str) -> Result:
    """Type a command."""
    return CliRunner().invoke(main, arguments)


def answer(*arguments: str) -> Any:  # noqa: ANN401 - JSON
    """Type a command that must work, and read its JSON."""
    result = laurel(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@dataclass(frozen=True)
class Served:
    """A server that runs, and the ledger behind it."""

    url: str
    ledger: Ledger

    def promoted(self, version: int, image: ImageRef, phase: Phase = Phase.SUCCEEDED) -> Promotion:
        """Record a promotion of the service ``fraud`` as if a worker had carried it out."""
        accepted = self.ledger.promotions.accept(draft(version))
        ended = {"ended_at": NOW} if phase.ended else {}
        return self.ledger.promotions.change(
            accepted.id, phase=phase, image=image, started_at=NOW, **ended
        )


def draft(version: int) -> Promotion:
    return Promotion(
        id=new_id(),
        sequence=0,
        service="fraud",
        kind=Kind.PROMOTION,
        phase=Phase.PENDING,
        plan=Plan("fraud", "fraud-scorer", repository="ml/fraud"),
        model=ModelVersion("fraud-scorer", version),
        trigger=Trigger(TriggerKind.WEBHOOK, "mlflow:champion", NOW),
        created_at=NOW,
        alias="champion",
    )


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of one's own, without settings of the person who runs the tests."""
    monkeypatch.chdir(tmp_path)
    for variable in ("LAUREL_CONFIG", "LAUREL_SERVER", "LAUREL_TOKEN", "LAUREL_DEBUG"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.delenv(
        "ACTIONS_ID_TOKEN_REQUEST_URL", raising=False
    )  # of a job that runs the tests
    return tmp_path


@pytest.fixture
def served(folder: Path) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        settings_of_fraud(folder, port)
        settings = load_settings(folder / "laurel.yaml", {})
        provide_token(settings.server.token_file, "127.0.0.1")
        with closing(wiring.open_ledger(settings)) as ledger:
            app = wiring.build_receiver(settings, ledger)
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
            thread = threading.Thread(target=server.run, args=([listener],))
            thread.start()
            yield Served(f"http://127.0.0.1:{port}", ledger)
            server.should_exit = True
            thread.join()


def settings_of_fraud(folder: Path, port: int) -> None:
    """Write what `laurel init` would, less the key, which takes long to encrypt."""
    (folder / "webhook.secret").write_text("secret\n")
    (folder / "laurel.yaml").write_text(
        f"server: {{port: {port}}}\nservices: [{{name: fraud, model: fraud-scorer}}]\n"
    )
