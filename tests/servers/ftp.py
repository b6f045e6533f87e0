"""A real FTP server: a store that only MLflow's own client reads."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ftplib import FTP, Error
from pathlib import Path

import pytest

from tests.servers.ports import free_ports

USER, PASSWORD = "ada", "a-pass%word"


@dataclass(frozen=True)
class FtpStore:
    """A running server and the folder that it serves."""

    port: int
    folder: Path

    def uri(self, path: str, password: str = PASSWORD) -> str:
        """Name a folder of it as MLflow's users do."""
        quoted = password.replace("%", "%25")
        return f"ftp://{USER}:{quoted}@127.0.0.1:{self.port}/{path}"


@contextmanager
def running_ftp(folder: Path) -> Iterator[FtpStore]:
    """Serve a folder until the context ends."""
    (port,) = free_ports(1)
    process = subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore", "-m", "pyftpdlib"),
            *("--interface", "127.0.0.1", "--port", str(port), "--directory", str(folder)),
            *("--username", USER, "--password", PASSWORD),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_answered(process, port)
        yield FtpStore(port, folder)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_answered(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 30
    while not _answers(port):
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.05)
            pytest.fail("the FTP server ended")
        assert time.monotonic() < deadline


def _answers(port: int) -> bool:
    with FTP() as ftp:  # noqa: S321 - on loopback, and it is what the test is about
        try:
            ftp.connect("127.0.0.1", port, timeout=5)
            return ftp.login(USER, PASSWORD).startswith("230")
        except (OSError, EOFError, Error):
            return False
