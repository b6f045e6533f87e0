"""Live traffic: a few clients that ask the front all the while, and what each answer was."""

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from random import Random

from pipeline.demo.transactions import draw, request_body

CLIENTS = 8
RATE = 80.0
"""Requests a second, of all clients together."""
_OK = 200
_TIMEOUT = 30.0
_HEADER = "x-laurel-revision"


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it was sent (seconds, monotonic), what came back, and how long it took.

    ``revision`` and ``status`` are ``None`` where the header, or any answer, is missing.
    """

    sent: float
    seconds: float
    status: int | None
    revision: str | None

    @property
    def failed(self) -> bool:
        """Whether the caller did not get what was asked for."""
        return self.status != _OK


@dataclass(frozen=True, slots=True)
class Seen:
    """What the clients saw in a stretch of time: answers and failures by revision."""

    requests: int = 0
    failed: int = 0
    by_revision: dict[str | None, int] = field(default_factory=dict)
    failed_by_revision: dict[str | None, int] = field(default_factory=dict)
    p99_ms: float = 0.0

    @classmethod
    def of(cls, answers: list[Answer]) -> "Seen":
        """Count answers."""
        slowest = sorted(answer.seconds for answer in answers)
        return cls(
            requests=len(answers),
            failed=sum(answer.failed for answer in answers),
            by_revision=dict(Counter(answer.revision for answer in answers)),
            failed_by_revision=dict(Counter(a.revision for a in answers if a.failed)),
            p99_ms=round(1000 * slowest[int(0.99 * len(slowest))], 1) if slowest else 0.0,
        )

    def only(self, revision: str) -> bool:
        """Tell whether there were answers, and this revision gave them all."""
        return set(self.by_revision) == {revision}


class Traffic:
    """Clients with a kept connection each, which retry nothing: what fails is counted.

    Parameters
    ----------
    port
        The front's, on loopback.
    host
        The Host header, which names the service.

    """

    def __init__(self, port: int, host: str) -> None:
        self._port = port
        self._host = host
        self._answers: list[Answer] = []
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._client, args=(number,), daemon=True)
            for number in range(CLIENTS)
        ]

    def running(self) -> bool:
        """Whether anybody asks."""
        return any(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask no more; return when the last answer is in."""
        self._stopping.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def between(self, begin: float, end: float) -> Seen:
        """Count the requests sent from ``begin`` until ``end``, in monotonic seconds."""
        answers = self._answers[:]  # appended to by the clients, never changed
        return Seen.of([answer for answer in answers if begin <= answer.sent < end])

    def _client(self, number: int) -> None:
        random = Random(number)  # noqa: S311 - a demonstration's data
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_TIMEOUT)
        pause = CLIENTS / RATE
        due = time.monotonic() + pause * number / CLIENTS
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            due = max(due + pause, time.monotonic())
            self._answers.append(self._ask(connection, json.dumps(request_body(draw(random)))))
        connection.close()

    def _ask(self, connection: HTTPConnection, body: str) -> Answer:
        sent = time.monotonic()
        status = revision = None
        headers = {"Host": self._host, "Content-Type": "application/json"}
        try:
            connection.request("POST", "/invocations", body, headers)
            response = connection.getresponse()
            response.read()
            status, revision = response.status, response.getheader(_HEADER)
        except (OSError, HTTPException):
            connection.close()  # the next request opens another one
        return Answer(sent, time.monotonic() - sent, status, revision)
