"""A promotion's events over real HTTP, while it goes on and when the server stops."""

import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.domain.promotion import Phase
from tests.fakes.mlflow_webhook import NOW
from tests.servers.laurel import Laurel, install
from tests.servers.waiting import until
from tests.unit.webhook_service.test_api import promoted


@pytest.fixture
def laurel(tmp_path: Path) -> Iterator[Laurel]:
    install(tmp_path, "http://127.0.0.1:9", None)
    laurel = Laurel(tmp_path)
    laurel.start("serve")
    until(laurel.answers, "the receiver", say=laurel.log)
    yield laurel
    laurel.down()


def listen(
    laurel: Laurel, promotion: str
) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    token = (laurel.folder / "laurel.token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    port = laurel.settings.server.port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", f"/promotions/{promotion}/events", headers=headers)
    return connection, connection.getresponse()


def kinds(response: http.client.HTTPResponse, last: str) -> list[str]:
    """Read names of events until this one has come."""
    told: list[str] = []
    while not told or told[-1] != last:
        line = response.readline().decode()
        assert line, told
        if line.startswith("event: "):
            told.append(line.removeprefix("event: ").strip())
    return told


def test_what_happens_is_heard_before_the_promotion_ends(laurel: Laurel) -> None:
    made = promoted(laurel.ledger, 1, Phase.RUNNING)
    connection, response = listen(laurel, made.id)
    with closing(connection):
        assert kinds(response, "promotion") == ["accepted", "promotion"]
        laurel.ledger.events.append(made.id, NOW, "look", {"percent": 10})
        assert kinds(response, "look") == ["look"]
        laurel.ledger.promotions.change(made.id, phase=Phase.SUCCEEDED, ended_at=NOW)
        assert kinds(response, "promotion") == ["ended", "promotion"]
        assert response.read().strip().startswith(b"data: ")


def test_a_server_that_stops_ends_its_streams_whole(laurel: Laurel) -> None:
    connection, response = listen(laurel, promoted(laurel.ledger, 1, Phase.RUNNING).id)
    with closing(connection):
        kinds(response, "promotion")
        assert laurel.terminate() == 0
        response.read()  # cut off, it would raise IncompleteRead
