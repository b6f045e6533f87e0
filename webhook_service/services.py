"""``/services``: what serves, and a person's decisions about it: rollback, hold, release."""

import threading

from fastapi import APIRouter, Depends, Response
from starlette.exceptions import HTTPException

from pipeline.domain.acceptance import rollback_draft
from pipeline.domain.access import Caller, Role
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Promotion, Trigger, TriggerKind
from pipeline.domain.references import Digest, ImageRef
from pipeline.domain.rollback import AlreadyBack, Impossible, Stop, go_back, serving
from pipeline.domain.serving import Hold
from pipeline.ledger import Ledger
from webhook_service.access import (
    Operator,
    Reader,
    Receiver,
    ReceiverParts,
    promotion_id,
    reader,
)
from webhook_service.shapes import AskReason, AskRollback, PromotionJson, ServiceJson, ServicesJson
from webhook_service.views import promotion_json, service_json

router = APIRouter(prefix="/services", tags=["services"])
_reading = [Depends(reader)]
_one_rollback_at_a_time = threading.Lock()
"""Two who press the button at once: the second must see what the first did."""


@router.get("")
def every(receiver: ReceiverParts, caller: Reader) -> ServicesJson:
    """List every service of laurel.yaml that the caller may see."""
    services = sorted(receiver.config.services.items())
    return ServicesJson(
        items=[_shown(plan, receiver) for name, plan in services if caller.may(Role.READER, name)]
    )


@router.get("/{name}", dependencies=_reading)
def one(name: str, receiver: ReceiverParts) -> ServiceJson:
    """Show a service as the worker last observed it."""
    return _shown(_known(name, receiver), receiver)


@router.post("/{name}/rollback", status_code=202)
def rollback(
    name: str,
    receiver: ReceiverParts,
    caller: Operator,
    response: Response,
    asked: AskRollback | None = None,
) -> PromotionJson:
    """Return to a digest that was served before, without a build, and hold the service there.

    200 with the promotion that did it where it is done already; 409 with the digests that would do.
    """
    plan, asked = _known(name, receiver), asked or AskRollback()
    with _one_rollback_at_a_time:
        history = receiver.ledger.promotions.of_service(name)
        _require_serving(asked.if_serving, name, history, receiver.ledger)
        answer = go_back(history, asked.to)
        if isinstance(answer, Impossible):
            choices = ", ".join(answer.choices) or "none"
            raise HTTPException(409, f"{answer.reason}. Digests that would do: {choices}.")
        if isinstance(answer, AlreadyBack):
            response.status_code = 200
            promotion = answer.promotion
        else:
            promotion = _roll_back(plan, answer, asked.reason, receiver, caller)
    response.headers["location"] = f"/promotions/{promotion.id}"
    return promotion_json(promotion, receiver.ledger.events.of(promotion.id))


@router.put("/{name}/hold")
def hold(name: str, asked: AskReason, receiver: ReceiverParts, caller: Operator) -> ServiceJson:
    """Keep automation from changing a service until its alias names another version."""
    plan = _known(name, receiver)
    receiver.ledger.holds.set(name, Hold(caller.actor, asked.reason, receiver.config.now()))
    receiver.config.wake()  # which reads what the alias names now: another version ends the hold
    return _shown(plan, receiver)


@router.delete("/{name}/hold")
def release(name: str, receiver: ReceiverParts, caller: Operator) -> ServiceJson:
    """Let automation act on a service again; none held is fine."""
    plan = _known(name, receiver)
    receiver.ledger.holds.release(name, actor=caller.actor, at=receiver.config.now())
    receiver.config.wake()
    return _shown(plan, receiver)


def _roll_back(
    plan: Plan, stop: Stop, reason: str, receiver: Receiver, caller: Caller
) -> Promotion:
    now = receiver.config.now()
    # The hold first: should we die in between, nothing automatic undoes what was about to happen.
    receiver.ledger.holds.set(plan.service, Hold(caller.actor, reason or "rollback", now))
    draft = rollback_draft(
        plan,
        stop,
        promotion=promotion_id(caller, plan.service),
        trigger=Trigger(TriggerKind.ROLLBACK, caller.actor, now),
        reason=reason,
    )
    accepted = receiver.ledger.promotions.accept(draft)
    receiver.config.wake()
    return accepted


def _require_serving(
    digest: str | None, service: str, history: list[Promotion], ledger: Ledger
) -> None:
    if digest is None:
        return
    now = _serving_now(service, history, ledger)
    if now is None or now.digest != Digest(digest):
        raise HTTPException(409, f"The service serves {now.digest if now else 'nothing'} now.")


def _serving_now(service: str, history: list[Promotion], ledger: Ledger) -> ImageRef | None:
    observed = ledger.states.get(service)
    if observed is not None and observed[0].stable is not None:
        return observed[0].stable.image
    return serving(history)


def _known(name: str, receiver: Receiver) -> Plan:
    plan = receiver.config.services.get(name)
    if plan is None:
        there = ", ".join(sorted(receiver.config.services)) or "none"
        raise HTTPException(404, f"There is no service of that name; laurel.yaml has {there}.")
    return plan


def _shown(plan: Plan, receiver: Receiver) -> ServiceJson:
    return service_json(plan, receiver.ledger, receiver.config.target)
