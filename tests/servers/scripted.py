"""An HTTP server on loopback that says what a test wants to hear."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Scripted:
    """Answers every request alike, and remembers the headers it was sent."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    heard: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    length: int | None = None

    def says(self, status: int, body: object = None, **headers: str) -> None:
        """Set the next answers; header names are written with ``_`` for ``-``."""
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def scripted_server() -> Iterator[Scripted]:
    """Serve until the context ends."""
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def do_GET(self) -> None:
            script.heard.append((self.path, dict(self.headers)))
            self.send_response(script.status)
            for name, value in script.headers.items():
                self.send_header(name, value)
            length = len(script.body) if script.length is None else script.length
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(script.body)

        do_DELETE = do_PATCH = do_POST  # noqa: N815 - what the library looks for

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        script.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()
