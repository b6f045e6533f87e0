"""The receiver that settings describe, in a thread of this process: it is there at once."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import uvicorn

from pipeline import wiring
from pipeline.cli.token_file import provide_token
from pipeline.ledger import Ledger
from pipeline.settings.load import load_settings


@contextmanager
def answering(folder: Path) -> Iterator[Ledger]:
    """Answer as `laurel serve` does, with the laurel.yaml of this folder; lend its ledger."""
    settings = load_settings(folder / "laurel.yaml", {})
    provide_token(settings.server.token_file, "127.0.0.1")
    with (
        socket.create_server(("127.0.0.1", settings.server.port)) as listener,
        closing(wiring.open_ledger(settings)) as ledger,
    ):
        app = wiring.build_receiver(settings, ledger)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield ledger
        finally:
            server.should_exit = True
            thread.join()
