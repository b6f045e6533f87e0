"""A real MLflow server behind its own ``basic-auth`` app, and people with and without rights."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import urllib3

from tests.servers.mlflow import MlflowServer, running_mlflow

_PINS = Path(__file__).with_name("mlflow-auth.txt")
_ADMIN, PASSWORD = "admin", "password of a test's account"
_SETTINGS = """\
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = sqlite:///{folder}/auth.db
admin_username = {admin}
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


@dataclass(frozen=True)
class GuardedMlflow:
    """The server, called by its administrator."""

    server: MlflowServer

    def account(self, name: str) -> None:
        """Make somebody who may do nothing."""
        body = {"username": name, "password": PASSWORD}
        self.server.call("POST", "mlflow/users/create", body)

    def grant(self, name: str, kind: str, resource: str, level: str) -> None:
        """Let somebody do so much with a ``registered_model`` or an ``experiment``."""
        said = {"username": name, "resource_type": kind, "resource_id": resource}
        url = f"{self.server.url}/api/3.0/mlflow/users/permissions/grant"
        answer = self.server.http.request("POST", url, json=said | {"permission": level})
        assert answer.status == 200, answer.data


@contextmanager
def running_guarded_mlflow(folder: Path) -> Iterator[GuardedMlflow]:
    """Start it; nobody may do anything that was not granted."""
    settings = folder / "basic_auth.ini"
    settings.write_text(_SETTINGS.format(folder=folder, admin=_ADMIN, password=PASSWORD))
    environment = {
        "MLFLOW_AUTH_CONFIG_PATH": str(settings),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "a secret of a test's server",
        "PYTHONPATH": str(_flask_wtf()),
    }
    arguments = ("--app-name", "basic-auth")
    login = urllib3.make_headers(basic_auth=f"{_ADMIN}:{PASSWORD}")
    with (
        running_mlflow(folder, environment=environment, arguments=arguments) as server,
        urllib3.PoolManager(retries=False, timeout=60, headers=login) as http,
    ):
        yield GuardedMlflow(replace(server, http=http))


def _flask_wtf() -> Path:
    """Find what ``mlflow[auth]`` adds to MLflow, installed where nobody has done it yet."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "laurel-tests"
    cache.mkdir(parents=True, exist_ok=True)
    there = cache / f"mlflow-auth-{hashlib.sha256(_PINS.read_bytes()).hexdigest()[:12]}"
    with (cache / "mlflow-auth.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (there / "complete").exists():
            shutil.rmtree(there, ignore_errors=True)
            uv = str(Path(sys.executable).with_name("uv"))
            which = ("--python", sys.executable, "--target", str(there))
            how = ("--quiet", "--no-deps", "--require-hashes", "-r", str(_PINS))
            subprocess.run([uv, "pip", "install", *which, *how], check=True)
            (there / "complete").touch()
    return there
