"""A server that does on its sockets what a test wants: things no HTTP server does on purpose."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Serve = Callable[[socket.socket, int], None]
"""What is done with a connection; they are counted from 1, and closed afterwards."""


@contextmanager
def raw_server(serve: Serve, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Listen until the context ends; lend ``host:port``."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    number = 0

    def handle(connection: socket.socket, number: int) -> None:
        with suppress(OSError), connection:
            stream = tls.wrap_socket(connection, server_side=True) if tls else connection
            with stream:
                serve(stream, number)

    def listen() -> None:
        nonlocal number
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.settimeout(30)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as servers do
                number += 1
                thread = threading.Thread(target=handle, args=(connection, number))
                threads.append(thread)
                thread.start()

    threads.append(threading.Thread(target=listen))
    threads[0].start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in threads:
            thread.join()


def head(connection: socket.socket) -> bytes:
    """Read a request's head, byte by byte, so that nothing of its body is."""
    said = b""
    while not said.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError
        said += byte
    return said


def answer(connection: socket.socket, status: str, body: bytes = b"", *headers: str) -> None:
    """Say a response."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    connection.sendall("\r\n".join(lines).encode() + body)
