"""Requests through Envoy, counted by the version that answered and by status.

Each connection sends at its own due times: a slow answer delays those of its connection and no
others. A request that gets no answer within the patience counts with status 0.
"""

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.servers.waiting import until

_PATIENCE = 15.0
BODY = json.dumps(
    {"id": "1", "inputs": [{"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2]}]}
)


@dataclass(frozen=True)
class Answer:
    """One request: when it was sent, what came back and how long that took."""

    at: float
    status: int
    version: str | None
    seconds: float


@dataclass(frozen=True)
class Target:
    """Where requests go: the gateway's URL, the host that it routes by, and the path.

    ``patience`` is in seconds, for each piece of an answer.
    """

    gateway: str
    host: str
    path: str
    body: str = BODY
    patience: float = _PATIENCE

    def connect(self) -> http.client.HTTPConnection:
        """Open one connection."""
        parts = urlsplit(self.gateway)
        return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=self.patience)

    def ask(self, connection: http.client.HTTPConnection) -> Answer:
        """Send one request; whoever gets status 0 needs another connection."""
        at, started = time.time(), time.perf_counter()
        status, version = 0, None
        try:
            headers = {"Host": self.host, "Content-Type": "application/json"}
            connection.request("POST", self.path, self.body, headers)
            answer = connection.getresponse()
            answer.read()
            status, version = answer.status, answer.headers.get("X-Model-Version")
        except (OSError, http.client.HTTPException):
            connection.close()  # http.client opens it again by itself
        return Answer(at, status, version, time.perf_counter() - started)


@dataclass
class Traffic:
    """What was answered so far; grows while requests are sent."""

    target: Target
    answers: list[Answer] = field(default_factory=list)

    def counts(self, since: float = 0.0) -> Counter[tuple[int, str | None]]:
        """Count answers to requests sent since a time, by status and version."""
        return Counter((each.status, each.version) for each in self._since(since))

    def versions(self, since: float = 0.0) -> Counter[str | None]:
        """Count good answers to requests sent since a time, by version."""
        return Counter(each.version for each in self._since(since) if each.status == 200)

    def failed(self, since: float = 0.0) -> list[Answer]:
        """Name the requests that got no good answer."""
        return [each for each in self._since(since) if each.status != 200]

    def wait(self, count: int, since: float | None = None, patience: float = 120.0) -> float:
        """Wait until so many requests sent from now on were answered; return that moment."""
        begin = time.time() if since is None else since
        self.until(lambda: len(self._since(begin)) >= count, patience)
        return begin

    def until(self, seen: Callable[[], object], patience: float = 60.0) -> None:
        """Wait until something is seen in the answers."""
        until(seen, "the answers", patience, self.counts)

    def _since(self, since: float) -> list[Answer]:
        return [each for each in tuple(self.answers) if each.at >= since]


@contextmanager
def steady(target: Target, rate: float, connections: int) -> Iterator[Traffic]:
    """Send requests at a steady rate until the context ends."""
    traffic, over = Traffic(target), threading.Event()

    def send(number: int) -> None:
        connection = target.connect()
        period = connections / rate
        due = time.monotonic() + number / rate
        while not over.wait(max(0.0, due - time.monotonic())):
            traffic.answers.append(target.ask(connection))
            due = max(due + period, time.monotonic() - 1)  # what was missed is not caught up with
        connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    try:
        yield traffic
    finally:
        over.set()
        for thread in threads:
            thread.join()


def burst(target: Target, count: int, connections: int = 4) -> Traffic:
    """Send so many requests as fast as the answers come."""
    traffic = Traffic(target)

    def send(share: int) -> None:
        connection = target.connect()
        for _ in range(share):
            traffic.answers.append(target.ask(connection))
        connection.close()

    shares = [
        count // connections + (number < count % connections) for number in range(connections)
    ]
    threads = [threading.Thread(target=send, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return traffic
