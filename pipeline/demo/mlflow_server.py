"""A real MLflow server, as its own package starts it, with webhooks allowed to reach loopback."""

import sys
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from secrets import token_bytes

import urllib3

from pipeline.demo.processes import Child, tail
from pipeline.errors import PermanentError

_OK = 200
_WITHIN = 120.0
_LOOK_EVERY = 0.1


def start_mlflow(folder: Path, port: int) -> Child:
    """Start ``mlflow server`` on SQLite and local files below ``folder``."""
    argv = [
        *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
        *("--artifacts-destination", str(folder / "artifacts")),
    ]
    environment = {
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_CACHE_TTL": "0",  # else a new webhook may stay unknown for a minute
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": urlsafe_b64encode(token_bytes(32)).decode(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else a runner and seven more processes
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return Child("mlflow", argv, folder, environment)


def wait_until_answering(child: Child, url: str) -> None:
    """Wait until a server answers 200 at ``url``.

    Raises
    ------
    PermanentError
        Where it ends instead, or takes longer than two minutes; with the last lines of its log.

    """
    deadline = time.monotonic() + _WITHIN
    with urllib3.PoolManager(retries=False, timeout=5.0) as http:
        while not _answers(http, url):
            if child.ended() or time.monotonic() > deadline:
                why = "it ended" if child.ended() else f"it does not answer after {_WITHIN:g} s"
                raise PermanentError("start", child.name, f"{why}:\n{tail(child.log)}")
            time.sleep(_LOOK_EVERY)


def _answers(http: urllib3.PoolManager, url: str) -> bool:
    try:
        return http.request("GET", url).status == _OK
    except urllib3.exceptions.HTTPError:
        return False
