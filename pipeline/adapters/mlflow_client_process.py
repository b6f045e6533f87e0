"""The process that MLflow's own client runs in: asked line by line, bounded in time and memory."""

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_CHILD = Path(__file__).with_name("mlflow_client_child.py")
_LARGEST_ANSWER = 64 << 20
_READ = 1 << 16
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
_KEPT = frozenset(
    {"HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TZ"}
    | {"ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}
    | {"all_proxy", "http_proxy", "https_proxy", "no_proxy"}
    | {"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"}
)
_CREDENTIALS = {
    "abfss": ("AZURE_", "IDENTITY_", "MSI_"),
    "b2": ("AWS_", "B2_", "MLFLOW_S3_"),
    "dbfs": ("DATABRICKS_",),
    "gs": ("CLOUDSDK_", "GCE_", "GOOGLE_", "MLFLOW_GCS_"),
    "hdfs": ("ARROW_", "CLASSPATH", "HADOOP_", "JAVA_HOME", "KRB5", "MLFLOW_KERBEROS_"),
    "r2": ("AWS_", "MLFLOW_S3_"),
    "sftp": ("SSH_AUTH_SOCK",),
    "wasbs": ("AZURE_", "IDENTITY_", "MSI_"),
}
_CREDENTIALS["viewfs"] = _CREDENTIALS["hdfs"]


class Gone(Exception):  # noqa: N818 - the store says what it means
    """The process ended, or did not answer in time."""


def environment_for(scheme: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Choose the variables that a scheme's client needs: never Laurel's, nor another cloud's.

    A scheme that a plug-in brings has those that begin with its name.
    """
    name = "".join(letter if letter.isalnum() else "_" for letter in scheme.upper())
    wanted = _CREDENTIALS.get(scheme, (f"{name}_", f"MLFLOW_{name}_"))
    return {
        variable: value
        for variable, value in environment.items()
        if variable in _KEPT or variable.startswith(wanted)
    } | _QUIET


class ClientProcess:
    """One process; it ends with this one, or by itself when it is not asked for a minute."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._folder = tempfile.mkdtemp(prefix="laurel-mlflow-")
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            env={**environment, "TMPDIR": self._folder},
            start_new_session=True,
        )
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: both are pipes
        assert self._process.stdout is not None  # noqa: S101 - as above
        self._questions, self._answers = self._process.stdin, self._process.stdout
        self._unread = bytearray()

    def ask(self, question: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Send a question and wait for its answer; raise ``Gone`` where none comes in time."""
        try:
            self._questions.write(json.dumps(question).encode() + b"\n")
            self._questions.flush()
            answer: dict[str, Any] = json.loads(self._line(time.monotonic() + seconds))
        except (OSError, ValueError, Gone) as error:
            self.end()
            raise Gone from error
        return answer

    def end(self) -> None:
        """End it, whatever it has started, and what it has left."""
        if self._process.returncode is None:  # not waited for yet: its number is still its own
            os.killpg(self._process.pid, signal.SIGKILL)
        for pipe in (self._questions, self._answers):
            with suppress(OSError):  # a question that could not be sent any more
                pipe.close()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _line(self, until: float) -> bytes:
        descriptor = self._answers.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not selector.select(max(0.0, until - time.monotonic())):
                    raise Gone
                read = os.read(descriptor, _READ)
                self._unread += read
                if not read or len(self._unread) > _LARGEST_ANSWER:
                    raise Gone
        line, _, self._unread = self._unread.partition(b"\n")
        return bytes(line)
