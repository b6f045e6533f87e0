"""``/promotions``: ask for them, read them, decide about them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from starlette.exceptions import HTTPException

from pipeline.domain.acceptance import Wanted, meant, promotion_draft, retry_draft
from pipeline.domain.access import Role
from pipeline.domain.evidence import Refused
from pipeline.domain.promotion import (
    Control,
    ControlKind,
    Kind,
    Phase,
    Promotion,
    Trigger,
)
from pipeline.domain.references import Digest
from pipeline.domain.serving import Hold
from pipeline.ledger import Ledger
from webhook_service.access import (
    Operator,
    Reader,
    ReceiverParts,
    StillAllowed,
    promotion_id,
    reader,
    require,
)
from webhook_service.decisions import decided
from webhook_service.repeats import Repeatable
from webhook_service.shapes import (
    AskPromotion,
    AskReason,
    EventsJson,
    PromotionJson,
    PromotionsJson,
)
from webhook_service.streams import MEDIA_TYPE, Streams
from webhook_service.views import events_json, promotion_json

router = APIRouter(prefix="/promotions", tags=["promotions"], route_class=Repeatable)
_reading = [Depends(reader)]
_Limit = Annotated[int, Query(ge=1, le=200)]
_After = Annotated[int, Query(ge=0, lt=1 << 63)]


@router.post("", status_code=202)
def ask(
    asked: AskPromotion,
    receiver: ReceiverParts,
    caller: Operator,
    response: Response,
) -> PromotionsJson:
    """Start a promotion for each service that the request means; ``Location`` names the first."""
    wanted = Wanted(
        asked.model,
        version=asked.version,
        alias=asked.alias,
        service=asked.service,
        rebuild=asked.rebuild,
        reason=asked.reason,
        image=None if asked.image is None else Digest(asked.image),
    )
    plans = meant(receiver.config.services, wanted)
    if isinstance(plans, Refused):
        raise HTTPException(404, plans.reason)
    for plan in plans:
        require(caller, Role.OPERATOR, plan.service)
    trigger = Trigger(caller.trigger, caller.actor, receiver.config.now())
    drafts = [
        promotion_draft(plan, wanted, promotion=promotion_id(caller, plan.service), trigger=trigger)
        for plan in plans
    ]
    accepted = [receiver.ledger.promotions.accept(draft) for draft in drafts]
    receiver.config.wake()
    response.headers["location"] = f"/promotions/{accepted[0].id}"
    return PromotionsJson(items=[promotion_json(promotion) for promotion in accepted])


@router.get("")
def page(
    receiver: ReceiverParts,
    caller: Reader,
    service: str | None = None,
    phase: Phase | None = None,
    limit: _Limit = 50,
    cursor: str | None = None,
) -> PromotionsJson:
    """List promotions that the caller may see, newest first; steps are in ``/promotions/{id}``."""
    if service is not None:
        require(caller, Role.READER, service)
    services = caller.services(Role.READER) if service is None else {service}
    found = receiver.ledger.promotions.page(
        services=services, phase=phase, limit=limit, cursor=cursor
    )
    items = [promotion_json(promotion) for promotion in found.items]
    return PromotionsJson(items=items, next=found.next)


@router.get("/{promotion}", dependencies=_reading)
def one(promotion: str, receiver: ReceiverParts) -> PromotionJson:
    """Show a promotion with its steps and its canary."""
    return _shown(_known(receiver.ledger, promotion), receiver.ledger)


@router.get(
    "/{promotion}/events",
    dependencies=_reading,
    response_model=EventsJson,
    responses={200: {"content": {MEDIA_TYPE: {}}}},
)
def events(
    promotion: str,
    request: Request,
    receiver: ReceiverParts,
    allowed: StillAllowed,
    after: _After = 0,
    last_event_id: Annotated[int | None, Header(ge=0, lt=1 << 63)] = None,
) -> EventsJson | Response:
    """Tell what happened to a promotion after event ``after``, oldest first.

    ``Accept: text/event-stream`` goes on telling until it ends; ``Last-Event-ID`` goes on after it.
    Whoever comes back to what has ended and was told whole gets 204.
    """
    found = _known(receiver.ledger, promotion)
    if MEDIA_TYPE not in request.headers.get("accept", ""):
        return EventsJson(items=events_json(receiver.ledger.events.of(promotion, after=after)))
    seen = after if last_event_id is None else last_event_id
    if found.phase.ended and seen and not receiver.ledger.events.of(promotion, after=seen):
        return Response(status_code=204)
    streams: Streams = request.app.state.streams
    return streams.of(found, receiver.ledger, seen, lambda: allowed(Role.READER, found.service))


@router.post("/{promotion}/abort", status_code=202)
def abort(
    promotion: str, receiver: ReceiverParts, caller: Operator, asked: AskReason | None = None
) -> PromotionJson:
    """Have a promotion end at its next step boundary, traffic back on stable first."""
    found = _known(receiver.ledger, promotion)
    if found.phase.ended and not decided(found, ControlKind.ABORT, receiver, caller):
        raise HTTPException(
            409, f"The promotion has ended {found.phase}: nothing is to be stopped."
        )
    if found.phase.ended:
        return _shown(found, receiver.ledger)
    reason = (asked.reason if asked else "") or f"aborted by {caller.actor}"
    control = Control(ControlKind.ABORT, caller.actor, reason, receiver.config.now())
    receiver.ledger.controls.add(promotion, control)
    receiver.config.wake()
    return _shown(found, receiver.ledger)


@router.post("/{promotion}/retry", status_code=202)
def retry(
    promotion: str,
    receiver: ReceiverParts,
    caller: Operator,
    response: Response,
) -> PromotionJson:
    """Start the same again as a new promotion; finished work is found by digest."""
    found = _known(receiver.ledger, promotion)
    if not found.phase.ended or found.phase is Phase.SUCCEEDED:
        raise HTTPException(
            409, f"The promotion stands at {found.phase}: only a bad end is retried."
        )
    plan = receiver.config.services.get(found.service)
    if plan is None:
        raise HTTPException(409, "laurel.yaml has no such service any more: nothing is retried.")
    trigger = Trigger(caller.trigger, caller.actor, receiver.config.now())
    new = promotion_id(caller, found.service)
    draft = retry_draft(found, plan, promotion=new, trigger=trigger)
    if draft.kind is Kind.ROLLBACK:
        hold = Hold(caller.actor, "rollback", trigger.at)
        accepted = receiver.ledger.rollbacks.ask(found.service, new, lambda *_: draft, hold)
    else:
        accepted = receiver.ledger.promotions.accept(draft)
    receiver.config.wake()
    response.headers["location"] = f"/promotions/{accepted.id}"
    return promotion_json(accepted)


def _known(ledger: Ledger, promotion: str) -> Promotion:
    found = ledger.promotions.get(promotion)
    if found is None:
        raise HTTPException(404, "There is no promotion of that id: list the promotions.")
    return found


def _shown(promotion: Promotion, ledger: Ledger) -> PromotionJson:
    return promotion_json(promotion, ledger.events.of(promotion.id))
