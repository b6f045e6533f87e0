"""Requests that keep coming while a service is rolled back: who answered which, sent when."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

_CONNECTIONS = 2
_PAUSE = 0.005
_OK = 200


@dataclass(frozen=True)
class Answer:
    """One request: when it was sent, its status (0: none), and what it said."""

    sent: float
    status: int
    body: str


@dataclass
class Answers:
    """Everything that was answered so far."""

    port: int
    service: str
    seen: list[Answer] = field(default_factory=list)

    def send(self) -> Answer:
        """Send a request on a connection of its own, as a new caller does."""
        sent = time.monotonic()
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            try:
                headers = {"Host": self.service, "Content-Type": "application/json"}
                connection.request("POST", "/invocations", b"{}", headers)
                response = connection.getresponse()
                answer = Answer(sent, response.status, response.read().decode())
            except OSError as error:
                answer = Answer(sent, 0, str(error))
        self.seen.append(answer)
        return answer

    def after(self, called: float, body: str) -> float:
        """Tell how long after the call the first request was sent from which on all were right."""
        since = sorted((each for each in self.seen if each.sent >= called), key=lambda a: a.sent)
        wrong = [each.sent for each in since if each.body != body]
        if not wrong:
            return 0.0
        return next(each.sent for each in since if each.sent > wrong[-1]) - called

    def failed(self) -> int:
        """Count what was not answered with 200."""
        return sum(each.status != _OK for each in self.seen)


@contextmanager
def asked(port: int, service: str) -> Iterator[Answers]:
    """Keep requests coming."""
    answers, stop = Answers(port, service), threading.Event()

    def keep_on() -> None:
        while not stop.is_set():
            answers.send()
            stop.wait(_PAUSE)

    threads = [threading.Thread(target=keep_on, daemon=True) for _ in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join()
