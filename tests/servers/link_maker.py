"""An MLflow that hands out links, and the store that they lead to: both do what a test says."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

SIGNATURE = "a-secret-signature"


@dataclass
class LinkMaker:
    """Serves one file, proxied and by link; ``expired`` links are refused, the first ones.

    A ``broken`` one neither lists nor sends anything itself.
    """

    content: bytes
    info: dict[str, Any] = field(default_factory=lambda: {"multipart_downloads_enabled": True})
    link: dict[str, Any] = field(default_factory=dict)
    url: str = ""
    etag: str = '"1"'
    expired: int = 0
    ranges: bool = True
    status: int = 0
    broken: bool = False
    made: int = 0
    proxied: int = 0
    heard: list[dict[str, str]] = field(default_factory=list)

    def made_link(self) -> dict[str, Any]:
        """Make the next link, with what the test wants of it."""
        self.made += 1
        url = f"{self.url}/blob?signature={SIGNATURE}&number={self.made}"
        return {"url": url, "headers": {"X-Of-The-Link": "yes"}} | self.link


class _Server(ThreadingHTTPServer):
    maker: LinkMaker

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a reader that left."""
        del request, client_address


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        path, maker = urlsplit(self.path).path, self.server.maker
        if path == "/blob":
            self._blob(maker)
        elif path.endswith("/server-info"):
            self._send(200, json.dumps(maker.info).encode())
        elif "/presigned/" in path:
            self._send(200, json.dumps(maker.made_link()).encode())
        else:
            maker.proxied += 1
            self._send(500 if maker.broken else 200, maker.content)

    def _blob(self, maker: LinkMaker) -> None:
        maker.heard.append(dict(self.headers))
        number = int(parse_qs(urlsplit(self.path).query)["number"][0])
        if number <= maker.expired:
            self._send(403, b"<Code>AccessDenied</Code><Message>Request has expired</Message>")
        elif maker.status:
            self._send(maker.status, b"", Location=f"{maker.url}/elsewhere")
        elif self.headers.get("If-Match", maker.etag) != maker.etag:
            self._send(412, b"")
        elif maker.ranges and "Range" in self.headers:
            first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
            told = f"bytes {first}-{last}/{len(maker.content)}"
            part = maker.content[int(first) : int(last) + 1]
            self._send(206, part, Content_Range=told, ETag=maker.etag)
        else:
            self._send(200, maker.content, ETag=maker.etag)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        del format, args


@contextmanager
def running_link_maker(content: bytes) -> Iterator[LinkMaker]:
    """Serve until the context ends."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.maker = LinkMaker(content, url=f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.maker
        finally:
            server.shutdown()
            thread.join()
