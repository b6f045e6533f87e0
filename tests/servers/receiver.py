"""A real receiver in a process of its own: ``python -m tests.servers.receiver LEDGER``."""

import hashlib
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from pipeline.domain.access import Caller, Grant, Role
from pipeline.domain.plan import Plan
from pipeline.ledger import Ledger
from tests.fakes.mlflow_webhook import SECRET
from webhook_service.app import create_app
from webhook_service.config import ReceiverConfig, Token

ROOT = Path(__file__).parents[2]
TOKEN = "ada-token"


@dataclass
class Running:
    port: int
    process: subprocess.Popen[str]


@contextmanager
def running(module: str, *arguments: str, largest_file: int | None = None) -> Iterator[Running]:
    """Run a module that prints its port; ``largest_file`` in bytes is where its disk is full."""

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=limit,  # noqa: PLW1509 - the child sets its own limit; it runs no thread yet
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            yield Running(int(process.stdout.readline()), process)
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def running_receiver(ledger: Path, *, largest_file: int | None = None) -> Iterator[Running]:
    """Run a receiver that watches ``fraud-scorer@champion`` for the service ``fraud``."""
    with running("tests.servers.receiver", str(ledger), largest_file=largest_file) as process:
        yield process


def serve(app: FastAPI) -> None:
    """Serve on a free port of loopback, and print which."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        print(listening.getsockname()[1], flush=True)  # noqa: T201 - the parent waits for it
        config = uvicorn.Config(app, log_level="warning", access_log=False, loop="asyncio")
        uvicorn.Server(config).run(sockets=[listening])


def main() -> None:
    ledger = Ledger(f"sqlite:///{sys.argv[1]}")
    ledger.migrate()
    ada = Caller("ada", (Grant(frozenset({Role.OPERATOR})),), "the token ada")
    config = ReceiverConfig(
        services={"fraud": Plan("fraud", "fraud-scorer")},
        secrets=lambda: (SECRET,),
        tokens=(Token(ada, hashlib.sha256(TOKEN.encode()).hexdigest()),),
        allowed_hosts=frozenset({"127.0.0.1"}),
    )
    serve(create_app(ledger, config))
    ledger.close()


if __name__ == "__main__":
    main()
