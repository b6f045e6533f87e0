"""A network that breaks: a relay before a server, which cuts answers off where a test says."""

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 1 << 16


@dataclass
class Unreliable:
    """A relay; each connection takes the next of ``cuts``: where its answers end, in bytes."""

    port: int
    cuts: deque[int] = field(default_factory=deque)
    connections: int = 0

    @property
    def url(self) -> str:
        """Where the server answers, when it does."""
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def unreliable(server_port: int) -> Iterator[Unreliable]:
    """Relay to a server on loopback until the context ends."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        relay = Unreliable(listening.getsockname()[1])
        threads: list[threading.Thread] = []
        sockets: list[socket.socket] = []

        def start(target: Callable[..., None], *arguments: object) -> None:
            thread = threading.Thread(target=target, args=arguments)
            thread.start()
            threads.append(thread)

        def accept() -> None:
            while True:
                try:
                    near, _ = listening.accept()
                except OSError:
                    return
                relay.connections += 1
                far = socket.create_connection(("127.0.0.1", server_port))
                sockets.extend((near, far))
                cut = relay.cuts.popleft() if relay.cuts else None
                start(_pump, near, far, None)
                start(_pump, far, near, cut)

        start(accept)
        try:
            yield relay
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for each in sockets:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()
            for each in sockets:
                each.close()


def _pump(source: socket.socket, sink: socket.socket, left: int | None) -> None:
    """Pass bytes on until there are no more, or none are ``left``; then end both sides."""
    with suppress(OSError):
        while chunk := source.recv(_CHUNK if left is None else min(left, _CHUNK)):
            sink.sendall(chunk)
            left = left if left is None else left - len(chunk)
            if left == 0:
                source.shutdown(socket.SHUT_RDWR)
                break
        sink.shutdown(socket.SHUT_RDWR if left == 0 else socket.SHUT_WR)
