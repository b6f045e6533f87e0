"""``laurel up``, ``serve`` and ``worker`` as processes: how they start, or refuse to, and end."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import urllib3
from click.testing import CliRunner

from pipeline import wiring
from pipeline.cli import main
from pipeline.domain.acceptance import Wanted, promotion_draft
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Phase, Trigger, TriggerKind
from pipeline.ledger import new_id
from pipeline.settings.load import load_settings

LAUREL = (sys.executable, "-m", "pipeline")


@dataclass
class Running:
    """A process that said where it is."""

    process: subprocess.Popen[str]
    said: dict[str, Any]

    def stop(self, how: signal.Signals) -> tuple[int, list[dict[str, Any]]]:
        """Tell it to stop; return its exit code and what it logged."""
        self.process.send_signal(how)
        _, logged = self.process.communicate(timeout=30)
        return self.process.returncode, [json.loads(line) for line in logged.splitlines()]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder as `laurel init` leaves it, where MLflow does not run yet."""
    monkeypatch.chdir(tmp_path)
    # Model code never runs here, so that no machine is too strict for these tests.
    monkeypatch.setenv("LAUREL_SERVING__ISOLATION", "none")
    monkeypatch.setenv("LAUREL_SERVING__PORT", str(_free_port()))
    arguments = ["init", "--model", "fraud", "--mlflow", f"http://127.0.0.1:{_free_port()}"]
    assert CliRunner().invoke(main, arguments).exit_code == 0
    return tmp_path


@contextmanager
def started(*arguments: str) -> Iterator[Running]:
    """Start a process that answers, and end it whatever happens."""
    with subprocess.Popen(
        [*LAUREL, *arguments, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield Running(process, json.loads(_first_value(process.stdout)))
        finally:
            process.kill()


def _first_value(lines: Iterator[str]) -> str:
    """Read up to the end of one indented JSON object."""
    read = ""
    for line in lines:
        read += line
        if line == "}\n":
            break
    return read


@pytest.mark.parametrize("verb", ["up", "serve"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_is_answers_there_and_ends_when_told(
    folder: Path, verb: str, how: signal.Signals
) -> None:
    with started(verb, "--port", "0") as running:
        assert running.said["watches"] == {"fraud": "fraud@champion"}
        ready = urllib3.request("GET", f"{running.said['url']}/health/ready", retries=False)
        assert ready.status == 200
        status = CliRunner().invoke(main, ["status", "--server", running.said["url"]])
        assert status.exit_code == 0, status.stderr
        code, logged = running.stop(how)
    assert code == 0
    assert (folder / "laurel.token").stat().st_mode & 0o777 == 0o600
    assert any(line["message"].startswith("listening at") for line in logged)
    if verb == "up":
        assert "`laurel down` ends it" in logged[-1]["message"]


def test_an_address_that_is_taken_is_told(folder: Path) -> None:
    with started("serve", "--port", "0") as running:
        port = running.said["url"].rpartition(":")[2]
        second = _ended("serve", "--port", port)
    assert second.returncode == 2
    assert f"127.0.0.1 port {port}: Address already in use; stop what does" in second.stderr
    assert folder.exists()


def test_one_ledger_has_one_worker(folder: Path) -> None:
    with started("up", "--port", "0"):
        second = _ended("worker")
    assert second.returncode == 2
    assert "another worker" in second.stderr
    assert folder.exists()


def test_a_worker_alone_ends_when_told(folder: Path) -> None:
    with subprocess.Popen([*LAUREL, "worker"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "working" not in process.stderr.readline():
            assert process.poll() is None
        process.terminate()
        rest = process.stderr.read()
    assert process.returncode == 0, rest
    assert "stopped" in rest
    assert folder.exists()


def test_a_worker_ends_when_told_although_a_promotion_waits_for_mlflow(folder: Path) -> None:
    with closing(wiring.open_ledger(load_settings(folder / "laurel.yaml", {}))) as ledger:
        plan = Plan("fraud", "fraud")
        wanted = Wanted("fraud", version=1)
        trigger = Trigger(TriggerKind.API, "ada", datetime.now(UTC))
        draft = promotion_draft(plan, wanted, promotion=new_id(), trigger=trigger)
        accepted = ledger.promotions.accept(draft)
        with subprocess.Popen([*LAUREL, "worker"], stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            while not ledger.events.of(accepted.id, kind="retry"):
                assert process.poll() is None
            process.terminate()
            _, rest = process.communicate(timeout=30)
        assert process.returncode == 0, rest
        left = ledger.promotions.get(accepted.id)
        assert left is not None
        assert left.phase is Phase.RUNNING


def test_the_token_that_laurel_made_is_for_this_machine_alone(folder: Path) -> None:
    refused = _ended("serve", "--host", "0.0.0.0")  # noqa: S104 - refused
    assert refused.returncode == 2
    assert "write a token of your own" in refused.stderr
    assert folder.exists()


def test_without_the_webhook_s_secret_nothing_starts(folder: Path) -> None:
    (folder / "webhook.secret").unlink()
    refused = _ended("up")
    assert refused.returncode == 2
    assert "`laurel init` writes one" in refused.stderr


def test_what_watches_nothing_says_so(folder: Path) -> None:
    settings = (folder / "laurel.yaml").read_text()
    (folder / "laurel.yaml").write_text(settings[: settings.index("services:")])
    with started("serve", "--port", "0") as running:
        _, logged = running.stop(signal.SIGTERM)
    assert any("watches nothing yet" in line["message"] for line in logged)


def test_a_person_at_a_terminal_reads_plain_lines(folder: Path) -> None:
    reading, terminal = os.openpty()
    with (
        os.fdopen(reading, encoding="utf-8", errors="replace") as screen,
        subprocess.Popen([*LAUREL, "serve", "--port", "0"], stderr=terminal) as process,
    ):
        os.close(terminal)
        line = screen.readline()
        process.terminate()
    assert "made the operator's token" in line
    assert not line.startswith("{")
    assert folder.exists()


def test_down_ends_what_serves_and_says_so(folder: Path) -> None:
    assert _ended("down").stdout == "everything is down\n"
    assert json.loads(_ended("down", "fraud", "--json").stdout) == {"down": "fraud"}
    assert folder.exists()


def test_down_of_a_service_that_never_was_is_a_mistake_of_the_caller(folder: Path) -> None:
    ended = _ended("down", "frued")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "service 'frued' was never deployed here" in ended.stderr
    assert folder.exists()


def _ended(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*LAUREL, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
