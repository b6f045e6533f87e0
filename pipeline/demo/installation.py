"""The demo's own Laurel: a folder with laurel.yaml and secrets, ``laurel up``, and its HTTP API."""

import os
import secrets
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
import yaml

from pipeline.demo.processes import Child, environment, tail
from pipeline.domain.plan import CanaryPlan
from pipeline.errors import PermanentError, UnavailableError
from pipeline.local.processes import why_no_isolation
from pipeline.trust.key_file import create_key_file

SERVICE, MODEL = "fraud", "fraud-scorer"
CANARY = CanaryPlan(steps=(10, 25, 50), interval=3.0, min_samples=20, look_every=0.25)
"""The judge is the product's; only steps and samples are small enough for a minute."""
_OK = 200


@dataclass(frozen=True, slots=True)
class Installation:
    """One Laurel on loopback, as a user would have it after ``laurel init``.

    ``no_isolation`` is the system's reason where this machine gives model code no sandbox.
    """

    folder: Path
    mlflow_port: int
    port: int
    front_port: int
    no_isolation: str | None

    @property
    def mlflow_url(self) -> str:
        """MLflow, for people and for Laurel."""
        return f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def url(self) -> str:
        """Laurel's API."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def front_url(self) -> str:
        """Envoy, where requests come in."""
        return f"http://127.0.0.1:{self.front_port}"

    @property
    def webhook(self) -> str:
        """Where MLflow delivers alias moves."""
        return f"{self.url}/webhooks/mlflow"

    @property
    def webhook_secret(self) -> str:
        """What MLflow signs deliveries with."""
        return (self.folder / "webhook.secret").read_text().strip()

    def up(self) -> Child:
        """Start ``laurel up``."""
        return Child("laurel", self.command("up"), self.folder)

    def command(self, verb: str, *arguments: str) -> list[str]:
        """Write a command line of ``laurel`` for this installation."""
        config = str(self.folder / "laurel.yaml")
        return [sys.executable, "-m", "pipeline", verb, *arguments, "--config", config]

    def call(self, verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``laurel`` as a person would, to its end."""
        return subprocess.run(
            self.command(verb, *arguments),
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


def install(folder: Path) -> Installation:
    """Write laurel.yaml, the webhook's secret and a signing key into ``folder``."""
    mlflow_port, port, front_port = _free_ports(3)
    made = Installation(folder, mlflow_port, port, front_port, why_no_isolation())
    _write(folder / "laurel.yaml", yaml.safe_dump(_settings(made), sort_keys=False))
    _write(folder / "webhook.secret", secrets.token_urlsafe(32))
    password = secrets.token_urlsafe(32)
    _write(folder / "laurel.key.password", password)
    create_key_file(folder / "laurel.key", password)
    return made


def _settings(made: Installation) -> dict[str, Any]:
    return {
        # A poll may find a move before its webhook does; here the webhook is what is shown.
        "mlflow": {"url": made.mlflow_url, "poll": "5m"},
        "serving": {
            "target": "local",
            "port": made.front_port,
            "isolation": "none" if made.no_isolation else "namespaces",
        },
        "server": {"port": made.port},
        "worker": {"poll": "100ms"},
        "services": [
            {
                "name": SERVICE,
                "model": MODEL,
                "canary": {
                    "steps": list(CANARY.steps),
                    "interval": CANARY.interval,
                    "min_samples": CANARY.min_samples,
                    "look_every": CANARY.look_every,
                },
            }
        ],
    }


def _write(path: Path, content: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content + "\n")


def _free_ports(count: int) -> list[int]:
    """Choose ports that nobody listens on; all held until the last is chosen, so none repeats."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class JsonApi:
    """Reads a JSON API on loopback: Laurel's with its token, or MLflow's."""

    def __init__(self, url: str, token: str | None = None, log: Path | None = None) -> None:
        self._url = url
        self._log = log
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = urllib3.PoolManager(headers=headers, retries=False, timeout=10.0)

    def get(self, path: str) -> dict[str, Any]:
        """Read ``path``.

        Raises
        ------
        PermanentError
            For any answer but 200, with the last lines of the server's log.
        UnavailableError
            Where nobody answers.

        """
        subject = f"{self._url}{path}"
        why = tail(self._log) if self._log else ""
        try:
            response = self._http.request("GET", subject)
        except urllib3.exceptions.HTTPError as error:
            raise UnavailableError("read", subject, f"it does not answer: {error}\n{why}") from None
        if response.status != _OK:
            raise PermanentError("read", subject, f"it answers {response.status}\n{why}")
        answer: dict[str, Any] = response.json()
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._http.clear()
