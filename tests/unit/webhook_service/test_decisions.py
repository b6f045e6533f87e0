"""People's word over HTTP: whose counts, and what is answered where it cannot be."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipeline.domain.access import Role
from pipeline.domain.promotion import Kind, Phase, Promotion, Trigger, TriggerKind
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.ledger import Ledger, new_id
from tests.fakes.asgi import Client
from tests.fakes.mlflow_webhook import NOW
from tests.unit.webhook_service.conftest import SERVICES, _token
from webhook_service.app import create_app
from webhook_service.config import ReceiverConfig

ADA, BOB, CY, DEE = "ada-token", "bob-token", "cy-token", "dee-token"
IMAGE = ImageRef("ml/fraud", Digest.of(b"one"))


@pytest.fixture
def people(ledger: Ledger, config: ReceiverConfig) -> Iterator[Client]:
    """Ada operates, Bob reads, Cy and Dee approve."""
    approvers = (_token("cy", Role.APPROVER), _token("dee", Role.APPROVER))
    with Client(create_app(ledger, replace(config, tokens=(*config.tokens, *approvers)))) as opened:
        yield opened


def promotion(ledger: Ledger, *, approvals: int = 0, kind: Kind = Kind.PROMOTION) -> Promotion:
    draft = Promotion(
        id=new_id(),
        sequence=0,
        service="fraud",
        kind=kind,
        phase=Phase.PENDING,
        plan=replace(SERVICES["fraud"], approvals=approvals),
        model=ModelVersion("fraud-scorer", 1),
        trigger=Trigger(TriggerKind.API, "dee", NOW),
        created_at=NOW,
    )
    ledger.promotions.accept(draft)
    return ledger.promotions.change(draft.id, phase=Phase.RUNNING, image=IMAGE)


def step(ledger: Ledger, found: Promotion, kind: str, name: str) -> None:
    data = {"name": name, "attempt": 1, "phase": "succeeded", "evidence": {}}
    ledger.events.append(found.id, NOW, kind, data)


def test_an_approver_agrees_and_the_answer_says_how_many_do(people: Client, ledger: Ledger) -> None:
    found = promotion(ledger, approvals=2)
    path = f"/promotions/{found.id}/approve"
    body = {"comment": "looks good", "image": IMAGE.digest.value}
    answer = people.call("POST", path, token=CY, json=body)
    assert answer.status == 202
    said = answer.json()
    assert (said["needed"], said["standing"], said["image"]) == (2, 1, str(IMAGE))
    assert [(each["actor"], each["comment"], each["counts"]) for each in said["items"]] == [
        ("cy", "looks good", True)
    ]
    assert people.call("POST", path, token=CY).json()["standing"] == 1
    read = people.call("GET", f"/promotions/{found.id}/approvals", token=BOB)
    assert read.json() == said


@pytest.mark.parametrize("token", [ADA, BOB])
def test_who_is_no_approver_is_turned_away(people: Client, ledger: Ledger, token: str) -> None:
    found = promotion(ledger, approvals=1)
    answer = people.call("POST", f"/promotions/{found.id}/approve", token=token)
    assert answer.status == 403
    assert "needs the role approver" in answer.json()["detail"]
    assert ledger.admissions.approvals(found.id) == ()


def test_an_approver_steers_nothing(people: Client, ledger: Ledger) -> None:
    found = promotion(ledger)
    for verb in ("pause", "resume", "complete", "abort"):
        assert people.call("POST", f"/promotions/{found.id}/{verb}", token=CY).status == 403


def test_who_asked_and_who_looked_at_another_image_are_refused(
    people: Client, ledger: Ledger
) -> None:
    found = promotion(ledger, approvals=1)
    path = f"/promotions/{found.id}/approve"
    mine = people.call("POST", path, token=DEE)
    assert (mine.status, "somebody else must" in mine.json()["detail"]) == (409, True)
    other = people.call("POST", path, token=CY, json={"image": Digest.of(b"other").value})
    assert (other.status, IMAGE.digest.value in other.json()["detail"]) == (409, True)
    assert people.call("POST", path, token=CY, json={"image": "latest"}).status == 422


def test_before_an_image_is_known_nobody_counts(people: Client, ledger: Ledger) -> None:
    found = promotion(ledger, approvals=1)
    ledger.promotions.change(found.id, image=None)
    said = people.call("GET", f"/promotions/{found.id}/approvals", token=BOB).json()
    assert said == {"needed": 1, "standing": 0, "image": None, "items": []}


def test_an_unknown_promotion_is_not_found(people: Client) -> None:
    assert people.call("POST", "/promotions/p/approve", token=CY).status == 404
    assert people.call("POST", "/promotions/p/pause", token=ADA).status == 404


def test_a_canary_is_paused_resumed_and_completed_once_each(people: Client, ledger: Ledger) -> None:
    found = promotion(ledger)
    path = f"/promotions/{found.id}"

    def said(verb: str) -> tuple[int, str]:
        answer = people.call("POST", f"{path}/{verb}", token=ADA, json={"reason": "why"})
        return answer.status, answer.json().get("detail", "")

    assert said("resume") == (409, "The promotion stands at running: nobody paused it.")
    assert said("pause")[0] == 202
    assert said("pause") == (409, "The promotion stands at running: ada paused it already.")
    assert said("resume")[0] == 202
    assert said("complete")[1].endswith("it has no canary that could be completed.")
    step(ledger, found, "step_started", "canary")
    assert said("complete")[0] == 202
    assert said("complete")[1].endswith("ada completed it already.")
    step(ledger, found, "step_ended", "canary")
    step(ledger, found, "step_started", "complete")
    assert said("pause")[1].endswith("it takes all traffic already.")
    controlled = ledger.events.of(found.id, kind="controlled")
    assert [event.data["control"] for event in controlled] == ["pause", "resume", "complete"]
    assert {(event.data["actor"], event.data["reason"]) for event in controlled} == {("ada", "why")}


def test_what_has_ended_and_a_rollback_are_not_steered(people: Client, ledger: Ledger) -> None:
    back = promotion(ledger, kind=Kind.ROLLBACK)
    answer = people.call("POST", f"/promotions/{back.id}/pause", token=ADA)
    assert "a rollback waits for nobody" in answer.json()["detail"]
    ledger.promotions.change(back.id, phase=Phase.SUCCEEDED, ended_at=NOW)
    answer = people.call("POST", f"/promotions/{back.id}/pause", token=ADA)
    assert answer.json()["detail"].startswith("The promotion has ended succeeded")
