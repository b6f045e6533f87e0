"""Calls for a rollback over real HTTP: receivers are killed in between, and two race."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.domain.chain import Head, verify_chain
from pipeline.domain.promotion import Kind
from tests.fakes.mlflow_webhook import call_for_rollback
from tests.integration.receivers import another, installed, receive
from tests.servers.laurel import Laurel
from tests.unit.webhook_service.test_api import promoted

BACK = {"service": "fraud", "reason": "error budget is spent"}
SECRET = "secret of the pager"


@pytest.fixture
def laurel(tmp_path: Path) -> Iterator[Laurel]:
    """Lend a Laurel whose service served two versions; nothing runs yet."""
    laurel = installed(tmp_path, {"rollback": {"secret_file": "pager.secret"}})
    (tmp_path / "pager.secret").write_text(SECRET)
    promoted(laurel.ledger, 1)
    promoted(laurel.ledger, 2, before=1)
    yield laurel
    laurel.down()


def send(port: int, delivery: str) -> tuple[int, dict[str, Any]]:
    call = call_for_rollback(BACK, delivery=delivery, secret=SECRET.encode(), at=datetime.now(UTC))
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", call.path, call.body, call.headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@pytest.mark.parametrize("point", ["held", "accepted", "answered"])
def test_a_receiver_killed_in_the_middle_of_a_rollback_did_all_of_it_or_nothing(
    laurel: Laurel, point: str
) -> None:
    port = laurel.settings.server.port
    receive(laurel, point)
    with suppress(OSError, http.client.HTTPException):
        send(port, "d-1")
    laurel.died()
    asked = len(laurel.promotions()) - 2
    assert asked == (0 if point == "held" else 1)
    assert (laurel.ledger.holds.get("fraud") is not None) == bool(asked)

    receive(laurel)
    status, answer = send(port, "d-1")
    assert status == 202
    *_, rollback = laurel.promotions()
    assert rollback.id == answer["promotion"]
    assert send(port, "d-2") == (200, answer)
    assert len(laurel.promotions()) == 3
    told = [entry.kind for entry in laurel.ledger.history.entries("fraud")]
    assert told.count("held") == 1
    assert isinstance(verify_chain(laurel.ledger.history.entries("fraud"), "fraud"), Head)


def test_of_two_receivers_on_one_ledger_one_wins_and_the_other_is_told(
    laurel: Laurel,
) -> None:
    receive(laurel)
    with another(laurel) as port:
        ports = [laurel.settings.server.port, port]
        with ThreadPoolExecutor(8) as threads:
            calls = [threads.submit(send, ports[n % 2], f"d-{n}") for n in range(8)]
            answers = [call.result() for call in calls]
    assert sorted(status for status, _ in answers) == [200] * 7 + [202]
    assert len({answer["promotion"] for _, answer in answers}) == 1
    assert [each.kind for each in laurel.promotions()][2:] == [Kind.ROLLBACK]
