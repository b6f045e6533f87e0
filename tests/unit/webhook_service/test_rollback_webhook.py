"""``POST /webhooks/rollback``: who may, what it does, and what a repeat does."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.domain.promotion import Kind, Phase, Trigger, TriggerKind
from pipeline.domain.serving import Hold
from pipeline.ledger import Ledger
from tests.fakes.asgi import Answer, Client
from tests.fakes.mlflow_webhook import NOW, SECRET, alias_event, call_for_rollback, deliver
from tests.unit.webhook_service.conftest import World
from tests.unit.webhook_service.test_api import ADA, image, promoted

BACK = {"service": "fraud", "reason": "error budget is spent"}


def send(client: Client, body: object = BACK, *, delivery: str = "d-1") -> Answer:
    return client.send(call_for_rollback(body, delivery=delivery))


def count(ledger: Ledger) -> int:
    return len(ledger.promotions.page().items)


@pytest.fixture(autouse=True)
def two_served(ledger: Ledger) -> None:
    promoted(ledger, 1)
    promoted(ledger, 2, before=1)


def test_a_signed_call_returns_to_the_previous_digest_and_holds_the_service(
    client: Client, ledger: Ledger, world: World
) -> None:
    answer = send(client)
    assert answer.status == 202
    made = ledger.promotions.get(answer.json()["promotion"])
    assert made is not None
    assert answer.headers["location"] == f"/promotions/{made.id}"
    assert (made.kind, made.target) == (Kind.ROLLBACK, image(1))
    assert made.trigger == Trigger(TriggerKind.ROLLBACK, "rollback webhook", NOW, "d-1")
    assert made.reason == "error budget is spent"
    assert not made.plan.move_alias
    assert ledger.holds.get("fraud") == Hold("rollback webhook", "error budget is spent", NOW, None)
    assert world.woken == 1


def test_a_digest_and_the_alias_may_be_asked_for(client: Client, ledger: Ledger) -> None:
    promoted(ledger, 3, before=2)
    wanted = {"digest": str(image(1).digest), "if_serving": str(image(3).digest)}
    answer = send(client, {"service": "fraud", "move_alias": True} | wanted)
    made = ledger.promotions.get(answer.json()["promotion"])
    assert made is not None
    assert made.target == image(1)
    assert made.plan.move_alias


def test_a_repeated_delivery_is_answered_as_the_first_was_and_does_nothing(
    client: Client, ledger: Ledger, world: World
) -> None:
    first = send(client)
    ledger.promotions.change(first.json()["promotion"], phase=Phase.SUCCEEDED, image=image(1))
    promoted(ledger, 3, before=1)
    again = send(client)
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert (count(ledger), world.woken) == (4, 1)


def test_a_repeat_of_what_was_impossible_stays_impossible(client: Client, ledger: Ledger) -> None:
    wanted = {"service": "fraud", "if_serving": str(image(3).digest)}
    first = send(client, wanted)
    assert first.status == 409
    assert first.json()["digests"] == [str(image(1).digest)]
    promoted(ledger, 3, before=2)
    again = send(client, wanted)
    assert (again.status, again.body) == (409, first.body)
    assert again.headers["content-type"] == "application/problem+json"
    assert send(client, wanted, delivery="d-2").status == 202


def test_another_call_under_the_same_delivery_id_is_refused(client: Client, ledger: Ledger) -> None:
    send(client)
    assert send(client, BACK | {"reason": "other"}).status == 422
    assert count(ledger) == 3


def test_what_is_done_already_names_the_promotion_that_did_it(
    client: Client, ledger: Ledger
) -> None:
    first, second = send(client), send(client, delivery="d-2")
    assert (second.status, second.json()) == (200, first.json())
    assert count(ledger) == 3


def test_two_pagers_at_the_same_moment_take_one_step_back(client: Client, ledger: Ledger) -> None:
    calls = [call_for_rollback(BACK, delivery=f"d-{number}") for number in range(8)]
    answers = client.send_together(calls)
    assert sorted(answer.status for answer in answers) == [200] * 7 + [202]
    assert len({answer.json()["promotion"] for answer in answers}) == 1
    assert count(ledger) == 3


@pytest.mark.parametrize(
    ("body", "status", "why"),
    [
        ({"service": "nobody"}, 404, "laurel.yaml has churn, fraud, fraud-eu, fraud-stage"),
        ({"service": "churn"}, 409, "Digests that would do: none."),
        ({"service": "fraud", "digest": str(image(9).digest)}, 409, str(image(1).digest)),
        ({"service": "fraud", "if_serving": str(image(1).digest)}, 409, str(image(2).digest)),
        ({"service": "fraud", "digest": "sha256:1"}, 422, "write sha256: and 64"),
        ({"service": "fraud", "if_serving": "2"}, 422, "write sha256: and 64"),
        ({"service": "fraud", "to": "1"}, 422, "the body's to: Extra inputs"),
        ({"service": ""}, 422, "the body's service: "),
        ({}, 422, "the body's service: Field required"),
        (b"not json", 422, "the body's JSON: Invalid JSON"),
        (b"\xff", 422, "the body's JSON: "),
        ([], 422, "the body's JSON: "),
    ],
    ids=str,
)
def test_what_cannot_be_is_told_with_what_would_do(
    client: Client, ledger: Ledger, body: object, status: int, why: str
) -> None:
    answer = send(client, body)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert why in answer.json()["detail"]
    assert count(ledger) == 2
    assert ledger.holds.get("fraud") is None


def test_nobody_without_the_secret_rolls_anything_back(client: Client, ledger: Ledger) -> None:
    signed = call_for_rollback(BACK)
    unsigned = replace(signed, headers={k: v for k, v in signed.headers.items() if k[0] != "x"})
    forged = call_for_rollback(BACK, secret=SECRET)  # MLflow's opens nothing here
    late = call_for_rollback(BACK, at=NOW - timedelta(minutes=11))
    text = replace(signed, headers=signed.headers | {"content-type": "text/plain"})
    told = {401: ["X-Laurel-Delivery-Id", "rollback.secret_file", "sign each call anew"], 415: [""]}
    for call, status in ((unsigned, 401), (forged, 401), (late, 401), (text, 415)):
        answer = client.send(call)
        assert answer.status == status
        assert any(words in answer.json()["detail"] for words in told[status])
    assert client.call("POST", "/webhooks/rollback", token=ADA, json=BACK).status == 401
    assert count(ledger) == 2


def test_its_secret_opens_no_other_webhook(client: Client) -> None:
    assert client.send(deliver(alias_event(), secret=b"of the pager")).status == 401


def test_without_a_secret_it_is_off(client: Client, world: World) -> None:
    world.rollback_secrets = ()
    answer = send(client)
    assert answer.status == 404
    assert "rollback.secret_file" in answer.json()["detail"]
