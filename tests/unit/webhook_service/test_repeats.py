"""``Idempotency-Key``: a change is made once, whoever is killed in between."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.domain.access import Caller
from pipeline.domain.promotion import Phase
from pipeline.ledger import Answers, Ledger
from tests.fakes.asgi import Answer, Client
from tests.unit.webhook_service.conftest import World
from tests.unit.webhook_service.test_access import GITHUB
from tests.unit.webhook_service.test_api import ADA, BOB, promoted
from webhook_service.app import create_app
from webhook_service.config import ReceiverConfig

ASKED = {"model": "fraud-scorer", "version": 7}


def ask(client: Client, key: str | None = "k-1", *, token: str = ADA, **more: object) -> Answer:
    headers = {} if key is None else {"idempotency-key": key}
    body = ASKED | more
    return client.call("POST", "/promotions", token=token, json=body, headers=headers)


def made(ledger: Ledger) -> int:
    return len(ledger.promotions.page().items)


def test_the_same_change_under_the_same_key_is_made_once(client: Client, ledger: Ledger) -> None:
    first, again = ask(client), ask(client)
    assert (first.status, again.status) == (202, 202)
    assert again.body == first.body
    assert again.headers["location"] == first.headers["location"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert made(ledger) == 3


def test_without_a_key_it_is_made_again(client: Client, ledger: Ledger) -> None:
    ask(client, None)
    ask(client, None)
    assert made(ledger) == 6


def test_another_change_under_the_same_key_is_refused(client: Client, ledger: Ledger) -> None:
    ask(client)
    answer = ask(client, version=8)
    assert answer.status == 422
    assert "another request" in answer.json()["detail"]
    assert made(ledger) == 3


def test_after_a_day_a_key_is_new(client: Client, ledger: Ledger, world: World) -> None:
    ask(client)
    world.now += timedelta(hours=24, seconds=1)
    assert ask(client, version=8).status == 202
    assert made(ledger) == 6


@pytest.mark.parametrize("key", ["", "two words", "k" * 201, "kéy"])
def test_a_key_that_cannot_be_one_is_told_so(client: Client, ledger: Ledger, key: str) -> None:
    answer = ask(client, key)
    assert answer.status == 422
    assert "visible ASCII" in answer.json()["detail"]
    assert made(ledger) == 0


def test_a_no_is_said_again_and_a_call_that_was_not_allowed_is_tried_again(
    client: Client, ledger: Ledger
) -> None:
    nowhere = ask(client, service="churn")
    assert (nowhere.status, ask(client, service="churn").body) == (404, nowhere.body)
    assert ask(client, "k-2", token=BOB).status == 403
    assert ask(client, "k-2").status == 202
    assert made(ledger) == 3


def test_a_decision_about_a_promotion_is_taken_once(client: Client, ledger: Ledger) -> None:
    of = promoted(ledger, 1, Phase.RUNNING)
    headers = {"idempotency-key": "stop"}
    path = f"/promotions/{of.id}/abort"
    first = client.call("POST", path, token=ADA, headers=headers)
    ledger.promotions.change(of.id, phase=Phase.ABORTED)
    again = client.call("POST", path, token=ADA, headers=headers)
    assert (again.status, again.body) == (202, first.body)


def test_a_receiver_that_died_before_it_could_answer_finds_what_it_had_done(
    client: Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise SystemError

    with monkeypatch.context() as dying:
        dying.setattr(Answers, "give", die)
        assert ask(client).status == 500
    assert made(ledger) == 3
    again = ask(client)
    assert again.status == 202
    assert made(ledger) == 3
    assert ask(client).body == again.body


def test_a_rollback_whose_receiver_died_is_the_same_rollback(
    client: Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted(ledger, 1)
    promoted(ledger, 2, before=1)

    def back() -> Answer:
        headers = {"idempotency-key": "back"}
        return client.call("POST", "/services/fraud/rollback", token=ADA, headers=headers)

    with monkeypatch.context() as dying:
        dying.setattr(Answers, "give", None)
        assert back().status == 500
    assert back().status == 202
    assert made(ledger) == 3


def test_a_key_outlives_a_single_use_token(ledger: Ledger, config: ReceiverConfig) -> None:
    tokens = iter(range(9))

    def vouched(_text: str) -> Caller:
        assert GITHUB.once is not None
        return replace(GITHUB, once=replace(GITHUB.once, id=f"{next(tokens):064x}"))

    with Client(create_app(ledger, replace(config, vouched=vouched))) as client:
        first, again = ask(client, token="a.b.c"), ask(client, token="a.b.c")
    assert (first.status, again.body) == (202, first.body)
    assert made(ledger) == 3
