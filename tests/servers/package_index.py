"""A package index of a few wheels, as PEP 503 has it, on an address of this machine."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running_index(wheels: Path, host: str = "127.0.0.1") -> Iterator[str]:
    """Serve the wheels of a folder; lend the index's URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            parts = self.path.strip("/").split("/")
            if parts[0] == "simple" and len(parts) == 2:
                self._answer(_links(wheels, parts[1]), "text/html")
            elif parts[0] == "wheels" and (wheels / parts[-1]).is_file():
                self._answer((wheels / parts[-1]).read_bytes(), "application/octet-stream")
            else:
                self._answer(b"", "text/plain", 404)

        def _answer(self, body: bytes, kind: str, status: int = 200) -> None:
            self.send_response(status if body else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    with http.server.ThreadingHTTPServer((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://{host}:{server.server_port}/simple/"
        finally:
            server.shutdown()
            thread.join()


def _links(wheels: Path, project: str) -> bytes:
    links = [
        f'<a href="/wheels/{wheel.name}#sha256={_sha256(wheel)}">{wheel.name}</a>'
        for wheel in sorted(wheels.glob(f"{project.replace('-', '_')}-*.whl"))
    ]
    return "\n".join(links).encode()


def _sha256(wheel: Path) -> str:
    return hashlib.sha256(wheel.read_bytes()).hexdigest()
