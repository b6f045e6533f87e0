"""A real MLflow tracking server, and what a data scientist does with it, over plain REST.

Models are uploaded from ``tests/fixtures/mlflow-models`` as MLflow stored them, so that neither
this process nor another has to import ``mlflow`` and train.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from tests.servers.ports import free_ports
from tests.servers.unmeasured import unmeasured

FIXTURES = Path(__file__).parents[1] / "fixtures" / "mlflow-models"

_ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else a job runner and seven more processes
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
    "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
    "MLFLOW_WEBHOOK_CACHE_TTL": "0",
    "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": "bGF1cmVsLXRlc3RzLWtleS0zMi1ieXRlcy1sb25nISE=",
}


@dataclass(frozen=True)
class MlflowServer:
    """A running server; ``url`` has no path, ``folder`` holds its database and its log."""

    url: str
    http: urllib3.PoolManager
    folder: Path

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call the API and return its JSON; fail the test on anything but 200."""
        response = self._request(method, path, body)
        assert response.status == 200, response.data
        answer: dict[str, Any] = response.json() if response.data else {}
        return answer

    def put_file(self, artifact_uri: str, path: str, content: bytes) -> None:
        """Store one file below an ``mlflow-artifacts:`` root."""
        root = artifact_uri.removeprefix("mlflow-artifacts:/")
        response = self.http.request(
            "PUT", f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{root}/{path}", body=content
        )
        assert response.status == 200, response.data

    def create_model(self, name: str) -> None:
        """Register a model without versions; what was there by that name is gone."""
        self._request("DELETE", "mlflow/registered-models/delete", {"name": name})
        self.call("POST", "mlflow/registered-models/create", {"name": name})

    def log_model(self, folder: Path) -> tuple[str, str]:
        """Store a model folder as ``log_model`` does; return its model id and artifact URI."""
        logged = self.call("POST", "mlflow/logged-models", {"experiment_id": "0", "name": "model"})
        info = logged["model"]["info"]
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                path = str(file.relative_to(folder))
                self.put_file(info["artifact_uri"], path, file.read_bytes())
        status = {"model_id": info["model_id"], "status": "LOGGED_MODEL_READY"}
        self.call("PATCH", f"mlflow/logged-models/{info['model_id']}", status)
        return info["model_id"], info["artifact_uri"]

    def register(self, name: str, fixture: str = "sk-pickle") -> int:
        """Log a recorded model and make it the next version of ``name``."""
        model_id, _ = self.log_model(FIXTURES / fixture)
        body = {"name": name, "source": f"models:/{model_id}", "model_id": model_id}
        version = self.call("POST", "mlflow/model-versions/create", body)["model_version"]
        return int(version["version"])

    def set_alias(self, name: str, alias: str, version: int | str) -> None:
        """Do what *Save aliases* does in MLflow's page."""
        body = {"name": name, "alias": alias, "version": str(version)}
        self.call("POST", "mlflow/registered-models/alias", body)

    def _request(self, method: str, path: str, body: object) -> urllib3.BaseHTTPResponse:
        return self.http.request(method, f"{self.url}/api/2.0/{path}", json=body)


@contextmanager
def running_mlflow(
    folder: Path,
    port: int | None = None,
    *,
    host: str = "127.0.0.1",
    python: str = sys.executable,
    destination: str | None = None,
    environment: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> Iterator[MlflowServer]:
    """Start ``mlflow server`` on SQLite in ``folder``; end it and its workers afterwards.

    ``python`` is where another MLflow is installed, ``destination`` where it puts artifacts,
    ``host`` the address of this machine that it is called by; ``arguments`` come last, so they win.
    """
    (port,) = [port] if port else free_ports(1)
    url = f"http://{host}:{port}"
    with (folder / "mlflow.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(python, "-m", "mlflow", "server", "--workers", "1"),
                *("--host", host, "--port", str(port)),
                *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
                *("--artifacts-destination", destination or str(folder / "artifacts")),
                *arguments,
            ],
            env={**unmeasured(), **_ENVIRONMENT, **(environment or {})},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    with urllib3.PoolManager(retries=False, timeout=30) as http:
        try:
            _wait_until_healthy(process, http, url, folder / "mlflow.log")
            yield MlflowServer(url, http, folder)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def _wait_until_healthy(
    process: subprocess.Popen[bytes], http: urllib3.PoolManager, url: str, log: Path
) -> None:
    deadline = time.monotonic() + 120
    while not _answers(http, url):
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            pytest.fail(f"mlflow server ended: {log.read_text()[-2000:]}")
        assert time.monotonic() < deadline, log.read_text()[-2000:]


def _answers(http: urllib3.PoolManager, url: str) -> bool:
    try:
        return http.request("GET", f"{url}/health").status == 200
    except urllib3.exceptions.HTTPError:
        return False
