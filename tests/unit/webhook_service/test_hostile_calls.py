"""Callers who mean harm: bodies that never end, keys and numbers of any size."""

from dataclasses import replace

import pytest

from pipeline.ledger import Ledger
from tests.fakes.asgi import Client
from tests.fakes.mlflow_webhook import alias_event, deliver
from webhook_service import guard

ADA = "ada-token"


def test_a_body_that_never_ends_is_given_up_and_counted(
    client: Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "PATIENCE", 0.05)
    answer = client.send(deliver(alias_event()), stalls=True)
    assert (answer.status, answer.headers["connection"]) == (408, "close")
    client.stop()
    assert ledger.deliveries.refused() == {"slow": 1}


def test_a_body_that_never_ends_is_given_up_by_the_api_too(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "PATIENCE", 0.05)
    call = replace(deliver(b"{"), path="/promotions")
    assert client.send(call, stalls=True).status == 408


def test_keys_that_nobody_knows_are_told_by_their_start(client: Client) -> None:
    unknown = {f"{number}\x1b\n" + "k" * 1000: 1 for number in range(1000)}
    asked = {"model": "fraud-scorer", "version": 1} | unknown
    answer = client.call("POST", "/promotions", token=ADA, json=asked)
    assert answer.status == 422
    assert len(answer.json()["detail"]) < 1000
    assert answer.json()["detail"].isprintable()


def test_an_event_number_beyond_any_is_told_to_be_one(client: Client) -> None:
    asked = {"model": "fraud-scorer", "version": 1}
    made = client.call("POST", "/promotions", token=ADA, json=asked).json()["items"][0]
    path = f"/promotions/{made['id']}/events?after={1 << 63}"
    assert client.call("GET", path, token=ADA).status == 422
