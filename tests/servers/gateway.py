"""A real Envoy set up as Kourier's or Istio's gateway, with a model behind each revision.

Requests name their revision in ``Host``. What a body says, the model does: ``fail`` answers 500,
``slow`` takes 0.15 s, ``drop`` closes the connection, ``hang`` is answered by nobody in time.
"""

import http.client
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from pipeline.local import front
from tests.servers.ports import free_ports
from tests.servers.waiting import until

_PATIENCE = 60.0
_TIMEOUT = "0.5s"
_FLUSH = "0.2s"


class Mesh(Enum):
    """Whose names the clusters and their statistics have."""

    KOURIER = "kourier"
    ISTIO = "istio"


@dataclass
class Gateway:
    """One Envoy; ``revisions`` are those it has clusters for."""

    folder: Path
    namespace: str
    revisions: tuple[str, ...]
    mesh: Mesh = Mesh.KOURIER
    others: int = 0
    host: str = "127.0.0.1"
    ports: list[int] = field(default_factory=lambda: free_ports(2))
    _models: dict[str, int] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it tells its statistics."""
        return f"http://{self.host}:{self.ports[1]}"

    def request(self, revision: str, body: bytes = b"ok") -> int:
        """Send one request through it; its status."""
        connection = http.client.HTTPConnection(self.host, self.ports[0], timeout=30)
        try:
            connection.request("POST", "/invocations", body, {"Host": revision})
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def start(self) -> None:
        """Start it, with counters at nothing, and wait until it answers."""
        configuration = self.folder / "gateway.json"
        configuration.write_text(json.dumps(self._bootstrap()))
        log = self.folder / "gateway.log"
        options = ["--disable-hot-restart", "--concurrency", "1", "-l", "warn"]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [front._executable(), "-c", str(configuration), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

        def ready() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, said()
            return self._ready()

        def said() -> str:
            return log.read_text(errors="replace")[-2000:]

        until(ready, "Envoy is ready", _PATIENCE, said)

    def kill(self) -> None:
        """End it as the kernel would when memory runs out."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def away(self, revision: str) -> None:
        """Let a revision's model be gone at the next start: connections to it are refused."""
        self._models[revision] = free_ports(1)[0]

    def behind(self, revision: str, port: int) -> None:
        """Say where a revision's model listens."""
        self._models[revision] = port

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection(self.host, self.ports[1], timeout=5)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()

    def _bootstrap(self) -> dict[str, Any]:
        elsewhere = {f"other-{n:05}-00001": 9 for n in range(self.others)}
        clusters = [self._cluster(*each) for each in {**self._models, **elsewhere}.items()]
        said: dict[str, Any] = {
            "node": {"id": "gateway", "cluster": "gateway"},
            "stats_flush_interval": _FLUSH,
            "admin": {"address": _socket(self.host, self.ports[1])},
            "static_resources": {"clusters": clusters, "listeners": [self._listener()]},
        }
        if self.mesh is Mesh.ISTIO:  # as in istio's tools/packaging/common/envoy_bootstrap.json
            tags = {
                "cluster_name": r"^cluster(\.(.+);)",
                "response_code": r"_rq(_(\d{3}))$",
                "response_code_class": r"_rq(_(\dxx))$",
            }
            said["stats_config"] = {
                "use_all_default_tags": False,
                "stats_tags": [{"tag_name": name, "regex": of} for name, of in tags.items()],
            }
        return said

    def _name(self, revision: str) -> str:
        if self.mesh is Mesh.KOURIER:
            return f"{self.namespace}/{revision}"
        return f"outbound|80||{revision}.{self.namespace}.svc.cluster.local"

    def _cluster(self, revision: str, port: int) -> dict[str, Any]:
        name = self._name(revision)
        endpoint = {"endpoint": {"address": _socket("127.0.0.1", port)}}
        return {
            "name": name,
            **({"alt_stat_name": f"{name};"} if self.mesh is Mesh.ISTIO else {}),
            "type": "STATIC",
            "connect_timeout": "1s",
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        }

    def _listener(self) -> dict[str, Any]:
        hosts = [
            {
                "name": revision,
                "domains": [revision],
                "routes": [
                    {
                        "match": {"prefix": "/"},
                        "route": {"cluster": self._name(revision), "timeout": _TIMEOUT},
                    }
                ],
            }
            for revision in self._models
        ]
        kind = "type.googleapis.com/envoy.extensions.filters."
        router = {"@type": f"{kind}http.router.v3.Router"}
        manager = {
            "@type": f"{kind}network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "gateway",
            "route_config": {"name": "gateway", "virtual_hosts": hosts},
            "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        }
        chain = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
        return {
            "name": "gateway",
            "address": _socket(self.host, self.ports[0]),
            "filter_chains": [{"filters": [chain]}],
        }


@contextmanager
def running_gateway(
    folder: Path,
    *revisions: str,
    namespace: str = "ml",
    **parts: Any,  # noqa: ANN401 - as Gateway takes them
) -> Iterator[Gateway]:
    """Run a gateway with a model behind each revision until the context ends."""
    gateway = Gateway(folder, namespace, revisions, **parts)
    with ExitStack() as models:
        for revision in revisions:
            gateway.behind(revision, models.enter_context(_model()))
        try:
            gateway.start()
            yield gateway
        finally:
            gateway.kill()


@contextmanager
def _model() -> Iterator[int]:
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if body == b"drop":
                self.close_connection = True
                return
            release.wait({b"slow": 0.15, b"hang": 30.0}.get(body, 0.0))
            self.send_response(500 if body == b"fail" else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            del format, args

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: whoever asked for ``hang`` has gone."""

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            release.set()
            server.shutdown()
            thread.join()


def _socket(address: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": address, "port_value": port}}
