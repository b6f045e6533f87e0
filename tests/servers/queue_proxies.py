"""What Knative's queue-proxies and activators tell Prometheus, of three ages of Knative.

Real HTTP servers whose text has the names, labels and bucket edges of the real ones: those of
Knative 1.21 as recorded from a cluster, the older ones as their sources write them. No request is
proxied; :meth:`Counting.answer` moves the counters as one would.
"""

import socket
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum

_PATIENCE = 10.0
_HEAD = b"\r\n".join(
    (
        b"HTTP/1.1 200 OK",
        b"Content-Type: text/plain; version=0.0.4; charset=utf-8",
        b"Content-Length: %d",
        b"Connection: close",
        b"\r\n",
    )
)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
_MILLISECONDS = (
    *(5, 10, 20, 40, 60, 80, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 700, 800, 900),
    *(1000, 2000, 5000, 10000, 20000, 50000, 100000),
)
_SCOPE = {"otel_scope_schema_url": "", "otel_scope_version": "0.64.0"}
_HTTP = {
    "http_request_method": "POST",
    "network_protocol_name": "http",
    "network_protocol_version": "1.1",
    "otel_scope_name": "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
    "url_scheme": "http",
    **_SCOPE,
}
_APP = {"otel_scope_name": "knative.dev/serving/pkg/queue", **_SCOPE}

Labels = tuple[tuple[str, str], ...]


class Knative(Enum):
    """The ages of Knative that name their counters differently."""

    SINCE_1_20_1 = "kn_serving_invocation_duration_seconds"
    UNTIL_1_20_0 = "kn_queueproxy_app_duration_seconds"
    UNTIL_1_18 = "revision_app_request_latencies"


@dataclass
class _Histogram:
    edges: tuple[float, ...]
    seen: list[float] = field(default_factory=list)

    def lines(self, name: str, labels: Mapping[str, str]) -> Iterator[str]:
        for edge in self.edges:
            count = sum(1 for value in self.seen if value <= edge)
            yield f"{name}_bucket{_braces({**labels, 'le': f'{edge:g}'})} {count}"
        yield f"{name}_bucket{_braces({**labels, 'le': '+Inf'})} {len(self.seen)}"
        yield f"{name}_sum{_braces(labels)} {sum(self.seen)}"
        yield f"{name}_count{_braces(labels)} {len(self.seen)}"


@dataclass
class Counting:
    """One pod's queue-proxy, or an activator: what it has counted, and where it says so."""

    name: str
    namespace: str
    revision: str
    knative: Knative = Knative.SINCE_1_20_1
    address: str = ""
    _histograms: dict[str, dict[Labels, _Histogram]] = field(
        default_factory=lambda: defaultdict(dict)
    )

    def answer(self, status: int = 200, *, seconds: float = 0.003, host: str = "fraud.ml") -> int:
        """Count a request that ended so; ``host`` is what the caller called this pod."""
        if self.knative is Knative.UNTIL_1_18:
            whole, app, unit = "revision_request_latencies", self.knative.value, 1000.0
            codes = {"response_code": str(status), "response_code_class": f"{status // 100}xx"}
            own = {
                "container_name": "queue-proxy",
                "namespace_name": self.namespace,
                "pod_name": self.name,
                "revision_name": self.revision,
                **codes,
            }
            labels, app_labels = {**own, "route_tag": "DISABLED"}, own
        else:
            whole, app, unit = "http_server_request_duration_seconds", self.knative.value, 1.0
            code = {"http_response_status_code": str(status)}
            labels = {**_HTTP, **code, "server_address": host, "kn_route_tag": "kn:disabled"}
            app_labels = {**_APP, **code}
        self._count(whole, labels, seconds * unit)
        self._count(app, app_labels, seconds * unit)
        return status

    def restart(self) -> None:
        """Begin again from nothing, as a container does."""
        self._histograms.clear()

    def text(self) -> str:
        """Write everything as Prometheus reads it."""
        lines = ["# HELP go_goroutines Number.", "# TYPE go_goroutines gauge", "go_goroutines 26"]
        for name, by_labels in list(self._histograms.items()):
            lines.append(f"# TYPE {name} histogram")
            for labels, histogram in list(by_labels.items()):
                lines += histogram.lines(name, dict(labels))
        if self.knative is not Knative.UNTIL_1_18:
            lines.append(f"target_info{_braces(self._resource())} 1")
        return "\n".join(lines) + "\n"

    def _resource(self) -> dict[str, str]:
        return {
            "container_name": "queue-proxy",
            "k8s_namespace_name": self.namespace,
            "k8s_pod_name": self.name,
            "kn_configuration_name": self.revision.rpartition("-")[0],
            "kn_revision_name": self.revision,
            "service_instance_id": self.name,
            "service_name": self.revision.rpartition("-")[0],
            "telemetry_sdk_name": "opentelemetry",
        }

    def _count(self, name: str, labels: Mapping[str, str], value: float) -> None:
        edges = _MILLISECONDS if self.knative is Knative.UNTIL_1_18 else _SECONDS
        key = tuple(sorted(labels.items()))
        self._histograms[name].setdefault(key, _Histogram(edges)).seen.append(value)


class CountingActivator(Counting):
    """An activator: it counts for every revision that requests go through it to."""

    def pass_on(self, revision: str, status: int = 200, *, seconds: float = 0.003) -> int:
        """Count a request to a revision."""
        labels = {
            **_HTTP,
            "http_response_status_code": str(status),
            "k8s_namespace_name": self.namespace,
            "kn_configuration_name": revision.rpartition("-")[0],
            "kn_revision_name": revision,
            "server_address": "fraud.ml.example.com",
        }
        self._count("http_server_request_duration_seconds", labels, seconds)
        return status

    def _resource(self) -> dict[str, str]:
        return {
            "k8s_namespace_name": "knative-serving",
            "k8s_pod_name": self.name,
            "service_name": "activator",
        }


@contextmanager
def addressed(counting: Counting, port: int = 0) -> Iterator[socket.socket]:
    """Give it an address that is its own until the context ends, and refuses connections.

    Prometheus takes seconds to see a new target, and a refused scrape costs next to nothing.
    """
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        counting.address = f"127.0.0.1:{listener.getsockname()[1]}"
        yield listener


@contextmanager
def answering(counting: Counting, listener: socket.socket) -> Iterator[Counting]:
    """Let it be scraped at its address until the context ends."""
    listener.listen()
    thread = threading.Thread(target=_answer, args=(counting, listener))
    thread.start()
    try:
        yield counting
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # wakes whoever waits in accept()
        thread.join()


@contextmanager
def serving(counting: Counting, port: int = 0) -> Iterator[Counting]:
    """Let it be scraped until the context ends; a port of one's own is for coming back."""
    with addressed(counting, port) as listener, answering(counting, listener):
        yield counting


def _answer(counting: Counting, listener: socket.socket) -> None:
    """Answer one scrape after the other: no thread for each, and none that looks for its end."""
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # its time is over
        with connection, suppress(OSError):  # whoever scraped was killed meanwhile
            connection.settimeout(_PATIENCE)
            _answer_one(counting, connection)


def _answer_one(counting: Counting, connection: socket.socket) -> None:
    asked = b""
    while not asked.endswith(b"\r\n\r\n"):
        if not (piece := connection.recv(4096)):
            return
        asked += piece
    body = counting.text().encode()
    connection.sendall(_HEAD % len(body) + body)


def _braces(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels.items()) + "}"
