"""The HTTP of a small API server: connections, JSON, chunks; what is said comes from elsewhere."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from tests.fakes.kubernetes_paths import Asked, understood
from tests.fakes.kubernetes_status import Json, Refused

_NO_SUCH_PAGE = b"404 page not found\n"


class Answers(Protocol):
    """What the server says."""

    silent: bool

    def admit(self, authorization: str, asked: Asked | None) -> None:
        """Raise ``Refused`` where this login may not ask that, ``LookupError`` for no such page."""

    def answer(self, asked: Asked) -> Json | str:
        """Answer what is no watch; text is a log."""

    def watched(self, asked: Asked) -> Iterator[Json]:
        """Give events; what is wrong from the beginning is raised before the first."""


class Listener(ThreadingHTTPServer):
    """Listens, and can hang up on everybody."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, port: int, answers: Answers, tls: ssl.SSLContext | None) -> None:
        self.answers = answers
        self.tls = tls
        self._open: set[socket.socket] = set()
        self._opening = threading.Lock()
        super().__init__(("127.0.0.1", port), Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.tls is not None:  # hands are shaken in the connection's own thread
            connection = self.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        with self._opening:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - socketserver's
        with self._opening:
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        with self._opening:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Say nothing of those who hung up."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        asked = understood(self.command, self.path, body)
        try:
            self.server.answers.admit(self.headers.get("Authorization", ""), asked)
            assert asked is not None
            if asked.verb == "watch":
                self._stream(self.server.answers.watched(asked))
            else:
                self._say(201 if asked.verb == "create" else 200, self.server.answers.answer(asked))
        except Refused as refused:
            self._say(refused.code, refused.status, refused.retry_after)
        except LookupError:
            self._raw(404, _NO_SUCH_PAGE, "text/plain; charset=utf-8")

    def _stream(self, events: Iterator[Json]) -> None:
        first = next(events, None)  # raises before the head is sent
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            while first is not None:
                self._chunk(first)
                first = next(events, None)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def _chunk(self, event: Json) -> None:
        if event and not self.server.answers.silent:
            piece = json.dumps(event).encode() + b"\n"
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def _say(self, code: int, said: Json | str, retry_after: int | None = None) -> None:
        if isinstance(said, str):
            self._raw(code, said.encode(), "text/plain")
        else:
            self._raw(code, json.dumps(said).encode(), "application/json", retry_after)

    def _raw(self, code: int, body: bytes, kind: str, retry_after: int | None = None) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        del format, args
