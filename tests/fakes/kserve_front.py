"""The gateway's front: requests go to revisions as Envoy would send them, by ``Host``.

It follows what was programmed, never what a status says; a tag's host reaches its revision at 0 %
too. Shares are exact: of any hundred requests each revision gets its percent.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.fakes.knative_world import Workload, World
from tests.fakes.kubelet import Container


class Front:
    """Sends requests on; ``answered`` counts who did, by host, as ``(status, name)``."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._credit: dict[tuple[str, str], float] = {}
        self.answered: dict[str, Counter[tuple[int, str]]] = {}
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}"

    def start(self) -> None:
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def ask(self, host: str, body: bytes = b"{}") -> tuple[int, str, bytes]:
        """Send one request: its status, who answered, and what."""
        with self._world.store.changed:
            status, who, said = self._answer(host.partition(":")[0], body)
            self.answered.setdefault(host, Counter())[status, who] += 1
            return status, who, said

    def _answer(self, host: str, body: bytes) -> tuple[int, str, bytes]:
        shares = self._world.gateway.get(host)
        if shares is None:
            return 404, "", b""
        workload = self._workload(self._chosen(host, shares), host)
        if workload is None:
            return 503, "", b"no healthy upstream"
        workload.asked_at = self._world.clock.seconds
        if not workload.wanted:  # the activator holds the request until a pod is up
            workload.wanted = 1
            self._world.awaken(workload)
        now = self._world.clock.seconds
        ready = [pod.container for pod in workload.pods if pod.container.is_ready(now)]
        if not ready:
            return 504, "", b"activator request timeout"
        return self._served(ready[0], body)

    def _served(self, container: Container, body: bytes) -> tuple[int, str, bytes]:
        behaviour = container.behaviour
        container.served += 1
        limit = behaviour.crash_after_requests
        if limit is not None and container.served > limit:
            container.end(self._world.clock.seconds, self._world.store.stamp())
            self._world.store.poke()
            return 502, "", b""
        status = behaviour.status if container.served % behaviour.every == 0 else 200
        return status, behaviour.name, body if behaviour.body is None else behaviour.body

    def _chosen(self, host: str, shares: list[tuple[str, int]]) -> str:
        """Choose smoothly: whoever is owed most is next."""
        for revision, percent in shares:
            owed = self._credit.get((host, revision), 0.0)
            self._credit[host, revision] = owed + percent
        chosen = max(shares, key=lambda share: self._credit[host, share[0]])[0]
        self._credit[host, chosen] -= 100
        return chosen

    def _workload(self, revision: str, host: str) -> Workload | None:
        namespace = host.split(".")[1]
        for workload in self._world.workloads.values():
            if (workload.revision, workload.namespace) == (revision, namespace):
                return workload
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def __init__(self, front: Front) -> None:
        self.front = front
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's
        """Say nothing of those who hung up."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, who, said = self.server.front.ask(self.headers.get("Host", ""), body)
        self.send_response(status)
        self.send_header("X-Model-Version", who)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        del format, args


def traffic_of(isvc: dict[str, Any]) -> str:
    """Write an InferenceService's split in one line: ``02*=10 01=90#prev``."""
    return " ".join(_target(one) for one in _targets(isvc))


def _targets(isvc: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from isvc.get("status", {}).get("components", {}).get("predictor", {}).get("traffic", [])


def _target(one: dict[str, Any]) -> str:
    latest, tag = "*" if one.get("latestRevision") else "", one.get("tag")
    return f"{one['revisionName'][-2:]}{latest}={one['percent']}{f'#{tag}' if tag else ''}"
