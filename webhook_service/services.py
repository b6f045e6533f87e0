"""``/services``: what serves, and a person's decisions about it: rollback, hold, release."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from pipeline.domain.access import Role
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Trigger, TriggerKind
from pipeline.domain.serving import Hold
from webhook_service.access import (
    Operator,
    Reader,
    Receiver,
    ReceiverParts,
    promotion_id,
    reader,
)
from webhook_service.repeats import Repeatable
from webhook_service.rollbacks import WantedBack, known, roll_back
from webhook_service.shapes import (
    AskReason,
    AskRollback,
    PromotionJson,
    Reason,
    ServiceJson,
    ServicesJson,
)
from webhook_service.views import promotion_json, service_json

router = APIRouter(prefix="/services", tags=["services"], route_class=Repeatable)
_reading = [Depends(reader)]


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
    return _shown(known(name, receiver), receiver)


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
    asked = asked or AskRollback()
    wanted = WantedBack(
        name,
        to=asked.to,
        if_serving=asked.if_serving,
        reason=asked.reason,
        move_alias=asked.move_alias,
    )
    trigger = Trigger(TriggerKind.ROLLBACK, caller.actor, receiver.config.now())
    done = roll_back(wanted, receiver, trigger, promotion_id(caller, name))
    response.status_code = done.status
    response.headers["location"] = f"/promotions/{done.promotion.id}"
    return promotion_json(done.promotion, receiver.ledger.events.of(done.promotion.id))


@router.put("/{name}/hold")
def hold(name: str, asked: AskReason, receiver: ReceiverParts, caller: Operator) -> ServiceJson:
    """Keep automation from changing a service until its alias names another version."""
    plan = known(name, receiver)
    receiver.ledger.holds.set(name, Hold(caller.actor, asked.reason, receiver.config.now()))
    receiver.config.wake()  # which reads what the alias names now: another version ends the hold
    return _shown(plan, receiver)


@router.delete("/{name}/hold")
def release(
    name: str,
    receiver: ReceiverParts,
    caller: Operator,
    reason: Annotated[Reason, Query(description="one sentence for the history")] = "",
) -> ServiceJson:
    """Let automation act on a service again; none held is fine."""
    plan, now = known(name, receiver), receiver.config.now()
    receiver.ledger.holds.release(name, actor=caller.actor, at=now, reason=reason)
    receiver.config.wake()
    return _shown(plan, receiver)


def _shown(plan: Plan, receiver: Receiver) -> ServiceJson:
    return service_json(plan, receiver.ledger, receiver.config.target)
