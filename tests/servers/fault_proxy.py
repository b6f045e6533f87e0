"""A proxy in front of a registry that passes everything on as it came, until told otherwise.

The ``Host`` header too: a registry writes it into its ``Location``, so clients stay here. It
speaks plain http to both sides::

    with fault_proxy(registry.host) as proxy:
        cut = proxy.fault(CutRequest(after=1000), "PATCH", "/blobs/uploads/", nth=1)
        ...  # a client pushes to proxy.host
        assert cut.fired == 1
        assert proxy.count("HEAD", "/manifests/") == 1
"""

import re
import socket
import socketserver
import threading
from collections.abc import Container, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

from tests.servers.faults import Answer, Fault
from tests.servers.http_wire import CutShortError, Wire
from tests.servers.proxied_exchange import Exchange, Recorded, Then, recorded

_PATIENCE = 30.0


@dataclass
class Rule:
    """When a fault happens, and how often it has."""

    fault: Fault
    method: str
    path: str
    nth: Container[int] | None
    met: int = 0
    fired: int = 0

    def meets(self, note: Recorded) -> bool:
        """Count a request if it is one of the rule's, and tell whether the fault is due."""
        if not (re.fullmatch(self.method, note.method) and re.search(self.path, note.path)):
            return False
        self.met += 1
        return self.nth is None or self.met in self.nth


@dataclass
class FaultProxy:
    """A listening proxy; without an ``upstream`` it is a host that answers 404 to everything.

    ``upstream`` may change: connections that come later go to the new one.
    """

    upstream: str | None
    host: str
    requests: list[Recorded] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _open: set[socket.socket] = field(default_factory=set, repr=False)
    _ended: bool = False

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://{self.host}"

    def fault(
        self,
        fault: Fault,
        method: str = ".*",
        path: str = "",
        *,
        nth: int | Container[int] | None = None,
    ) -> Rule:
        """Make requests fail whose whole method and some of whose path and query match.

        ``nth`` says which of them, counted from 1: ``2``, ``range(1, 4)``, ``None`` for each.
        The first rule that is due decides.
        """
        rule = Rule(fault, method, path, (nth,) if isinstance(nth, int) else nth)
        with self._lock:
            self.rules.append(rule)
        return rule

    def heal(self) -> None:
        """Forget every rule."""
        with self._lock:
            self.rules.clear()

    def heard(self, method: str = ".*", path: str = "") -> list[Recorded]:
        """List the requests that came, whose method and path match."""
        with self._lock:
            came = list(self.requests)
        return [r for r in came if re.fullmatch(method, r.method) and re.search(path, r.path)]

    def count(self, method: str = ".*", path: str = "") -> int:
        """Count the requests that came."""
        return len(self.heard(method, path))

    def hang_up(self) -> None:
        """Break every connection off, and each that is still to come."""
        with self._lock:
            self._ended = True
            for connection in self._open:
                _break_off(connection)

    def serve(self, connection: socket.socket) -> None:
        """Pass a client's exchanges on until one side leaves or is made to."""
        with ExitStack() as stack:
            self._hold(connection, stack)
            client, then = Wire(connection), Then.RESET
            with suppress(OSError, CutShortError):
                then = self._exchanges(client, stack)
            if then is Then.RESET:
                client.reset()
                return
            client.finish()
            client.drain()  # to close with something unread would be a reset
            client.close()

    def _exchanges(self, client: Wire, stack: ExitStack) -> Then:
        upstream, then = None, Then.GOES_ON
        while then is Then.GOES_ON:
            head = client.head()
            if head is None:
                return Then.CLOSED
            note = recorded(head)
            fault, exchange = self._meet(note), Exchange(client, head, note)
            answered = exchange.answered(fault)
            if answered is None:
                upstream = upstream or self._connect(stack)
                answered = exchange.forwarded(upstream, fault)
            then = answered
        return then

    def _meet(self, note: Recorded) -> Fault | None:
        with self._lock:
            self.requests.append(note)
            due = [rule for rule in self.rules if rule.meets(note)]
            if not due:
                return None if self.upstream else Answer(404)
            due[0].fired += 1
            return due[0].fault

    def _connect(self, stack: ExitStack) -> Wire:
        host, _, port = (self.upstream or "").rpartition(":")
        connection = socket.create_connection((host, int(port)), timeout=_PATIENCE)
        self._hold(connection, stack)
        wire = Wire(connection)
        stack.callback(wire.close)
        return wire

    def _hold(self, connection: socket.socket, stack: ExitStack) -> None:
        """Keep a connection in reach of :meth:`hang_up` as long as it is open."""
        with self._lock:
            self._open.add(connection)
            if self._ended:
                _break_off(connection)
        stack.callback(self._let_go, connection)

    def _let_go(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.discard(connection)


@contextmanager
def fault_proxy(upstream: str | None) -> Iterator[FaultProxy]:
    """Listen until the context ends; ``upstream`` is a registry's ``host:port``."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.proxy = FaultProxy(upstream, f"127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.proxy
        finally:
            server.shutdown()
            thread.join()
            server.proxy.hang_up()


@contextmanager
def other_host() -> Iterator[FaultProxy]:
    """Listen as a host that nobody should be sent to with credentials: it notes who came."""
    with fault_proxy(None) as host:
        yield host


class _Server(socketserver.ThreadingTCPServer):
    proxy: FaultProxy
    request_queue_size = 64


class _Handler(socketserver.BaseRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.server.proxy.serve(self.request)


def _break_off(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
