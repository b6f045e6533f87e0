"""``POST /webhooks/rollback``: for systems that have no account here, such as a monitor or a pager.

Whoever has its secret may return any service to a digest that it served, and do nothing else.
"""

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from pipeline.domain.promotion import Trigger, TriggerKind
from pipeline.domain.references import Digest
from pipeline.errors import MalformedDeliveryError
from pipeline.ledger import repeated_id
from webhook_service.access import Receiver, change_of, receiver_of
from webhook_service.delivery import ROLLBACK, Delivery
from webhook_service.repeats import KEPT, Repeatable, go_on
from webhook_service.rollbacks import Done, WantedBack, roll_back
from webhook_service.shapes import CallForRollback
from webhook_service.webhook import taken

router = APIRouter(tags=["webhooks"], route_class=Repeatable)
ACTOR = "rollback webhook"
"""Whom the record names: who signed is all that is known."""


@router.post("/webhooks/rollback", status_code=202)
async def rollback(request: Request) -> Response:
    """Return a service to a digest that it served before; 200 where that is done already.

    404 and 409 say what would do. A repeated delivery is answered as the first was.
    """
    receiver = await receiver_of(request)
    secrets = receiver.config.rollback_secrets()
    if not secrets:
        raise HTTPException(404, "This webhook is off: set rollback.secret_file in laurel.yaml.")
    delivery, asked = await taken(request, receiver, secrets, ROLLBACK, _parse)
    change = await change_of(request)
    done = await run_in_threadpool(_do, request, receiver, delivery, asked, change)
    headers = {"Location": f"/promotions/{done.promotion.id}"}
    return JSONResponse({"promotion": done.promotion.id}, done.status, headers)


def _do(
    request: Request, receiver: Receiver, delivery: Delivery, asked: CallForRollback, change: str
) -> Done:
    now = receiver.config.now()
    kept = max(KEPT, 2 * receiver.config.tolerance)  # longer than the same call is authentic
    claimed = receiver.ledger.answers.claim(ACTOR, delivery.id, change, at=now, kept=kept)
    found = go_on(request, claimed)
    wanted = WantedBack(
        asked.service,
        to=asked.digest,
        if_serving=asked.if_serving,
        reason=asked.reason,
        move_alias=asked.move_alias,
    )
    trigger = Trigger(TriggerKind.ROLLBACK, ACTOR, now, delivery.id)
    return roll_back(wanted, receiver, trigger, repeated_id(found.at, found.id))


def _parse(delivery: Delivery) -> CallForRollback:
    try:
        asked = CallForRollback.model_validate_json(delivery.body)
    except ValidationError as error:
        where = error.errors(include_input=False, include_url=False)[0]
        name = ascii(".".join(map(str, where["loc"])))[1:-1][:40]
        raise MalformedDeliveryError(f"the body's {name or 'JSON'}: {where['msg']}") from error
    for digest in (asked.digest, asked.if_serving):
        if digest is not None:
            Digest(digest)
    return asked
