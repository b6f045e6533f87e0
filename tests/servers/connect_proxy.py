"""A forward proxy as companies have them: CONNECT for https, whole URLs for http."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_READ = 1 << 16


@dataclass
class ConnectProxy:
    """Leads every name in ``hosts`` to where it is on loopback, and no other.

    ``authorization`` is what it wants to be shown, ``status`` what it answers instead of going on.
    """

    url: str = ""
    hosts: dict[str, str] = field(default_factory=dict)
    authorization: str = ""
    status: int = 0
    heard: list[str] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)

    def serve(self, client: socket.socket) -> None:
        """Read one request, and pass on what follows."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(1)
        method, url, _ = head.split(b"\r\n")[0].decode().split(" ")
        self.heard.append(f"{method} {url}")
        self.heads.append(head)
        parts = urlsplit(url if "://" in url else f"//{url}")
        there = self.hosts.get(parts.netloc)
        wanted = f"Proxy-Authorization: {self.authorization}".encode()
        refused = 407 if self.authorization and wanted not in head else self.status
        if refused or there is None:
            said = f"HTTP/1.1 {refused or 502} No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            client.sendall(said.encode())
            return
        host, _, port = there.rpartition(":")
        with socket.create_connection((host, int(port))) as server:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = f"{parts.path}{'?' if parts.query else ''}{parts.query}"
                server.sendall(head.replace(url.encode(), path.encode(), 1))
            back = threading.Thread(target=_pass_on, args=(server, client))
            back.start()
            _pass_on(client, server)
            back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while read := source.recv(_READ):
            target.sendall(read)
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def running_connect_proxy(**hosts: str) -> Iterator[ConnectProxy]:
    """Serve until the context ends; name each host with ``_`` for ``.``, it has its usual port."""
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = ConnectProxy(f"http://127.0.0.1:{listener.getsockname()[1]}")
    for name, there in hosts.items():
        host = name.replace("_", ".")
        proxy.hosts |= {host: there, f"{host}:443": there}
    threads: list[threading.Thread] = []

    def handle(client: socket.socket) -> None:
        with suppress(OSError), client:
            proxy.serve(client)

    def listen() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                client.settimeout(30)
                threads.append(threading.Thread(target=handle, args=(client,)))
                threads[-1].start()

    listening = threading.Thread(target=listen)
    listening.start()
    try:
        yield proxy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [listening, *threads]:
            thread.join()
