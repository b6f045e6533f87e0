"""An early MLflow 3, in an environment of its own that outlives test runs."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

_PINS = Path(__file__).with_name("early-mlflow.txt")


def early_mlflow() -> str:
    """Return the Python that has it, installing it where nobody has yet.

    It lies below ``$XDG_CACHE_HOME``, else ``~/.cache``, in ``laurel-tests``.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "laurel-tests"
    cache.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(_PINS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    environment = cache / f"mlflow-{key}"
    with (cache / "mlflow.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel lets go of it when an installer is killed
        if not (environment / "complete").exists():
            _install(environment)
    return str(environment / "bin" / "python")


def _install(environment: Path) -> None:
    shutil.rmtree(environment, ignore_errors=True)  # of an installer that was killed
    uv = str(Path(sys.executable).with_name("uv"))
    for command in (
        [uv, "venv", "--quiet", "--python", sys.executable, str(environment)],
        [
            uv,
            "pip",
            "sync",
            "--quiet",
            "--require-hashes",
            "--python",
            str(environment),
            str(_PINS),
        ],
    ):
        subprocess.run(command, check=True)
    (environment / "complete").touch()
