"""What people decide about a promotion that runs: approve, pause, resume, complete."""

from datetime import datetime

from fastapi import APIRouter, Depends
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from pipeline.domain.access import Caller
from pipeline.domain.admission import standing
from pipeline.domain.evidence import Refused
from pipeline.domain.promotion import Control, ControlKind, Promotion
from pipeline.domain.references import Digest
from webhook_service.access import Approver, Operator, Receiver, ReceiverParts, reader
from webhook_service.repeats import Repeatable
from webhook_service.shapes import AskApproval, AskReason, PromotionJson
from webhook_service.views import promotion_json

router = APIRouter(prefix="/promotions", tags=["promotions"], route_class=Repeatable)


class ApprovalJson(BaseModel):
    """Somebody's word about one image; ``counts`` tells whether it is of use now."""

    actor: str
    image: str
    comment: str
    at: datetime
    counts: bool


class ApprovalsJson(BaseModel):
    """Who agrees to a promotion; ``image`` is what is to be approved, once it is known."""

    needed: int
    standing: int
    image: str | None
    items: list[ApprovalJson]


@router.get("/{promotion}/approvals", dependencies=[Depends(reader)])
def approvals(promotion: str, receiver: ReceiverParts) -> ApprovalsJson:
    """Tell how many must agree, who does, and to which image."""
    return _approvals(_known(promotion, receiver), receiver)


@router.post("/{promotion}/approve", status_code=202)
def approve(
    promotion: str, receiver: ReceiverParts, caller: Approver, asked: AskApproval | None = None
) -> ApprovalsJson:
    """Agree to the image of a promotion; with ``image``, only if it is still that one.

    409 where nothing is to be approved, for another image, and for who asked for the promotion.
    """
    found, asked = _known(promotion, receiver), asked or AskApproval()
    answer = receiver.ledger.admissions.approve(
        found.id,
        actor=caller.actor,
        at=receiver.config.now(),
        rules=receiver.config.rules,
        image=None if asked.image is None else Digest(asked.image),
        comment=asked.comment,
    )
    if isinstance(answer, Refused):
        raise HTTPException(409, answer.reason)
    return _approvals(found, receiver)


@router.post("/{promotion}/pause", status_code=202)
def pause(
    promotion: str, receiver: ReceiverParts, caller: Operator, asked: AskReason | None = None
) -> PromotionJson:
    """Keep a promotion from getting more traffic; it is judged, and may go back."""
    return _steer(promotion, ControlKind.PAUSE, receiver, caller, asked)


@router.post("/{promotion}/resume", status_code=202)
def resume(
    promotion: str, receiver: ReceiverParts, caller: Operator, asked: AskReason | None = None
) -> PromotionJson:
    """Let a paused promotion go on."""
    return _steer(promotion, ControlKind.RESUME, receiver, caller, asked)


@router.post("/{promotion}/complete", status_code=202)
def complete(
    promotion: str, receiver: ReceiverParts, caller: Operator, asked: AskReason | None = None
) -> PromotionJson:
    """End a canary well now, on one's own word; 409 where none is under way."""
    return _steer(promotion, ControlKind.COMPLETE, receiver, caller, asked)


def _steer(
    promotion: str,
    kind: ControlKind,
    receiver: Receiver,
    caller: Caller,
    asked: AskReason | None,
) -> PromotionJson:
    found = _known(promotion, receiver)
    reason = asked.reason if asked else ""
    control = Control(kind, caller.actor, reason, receiver.config.now())
    answer = receiver.ledger.steerings.add(found.id, control)
    if isinstance(answer, Refused) and decided(found, kind, receiver, caller):
        answer = found
    if isinstance(answer, Refused):
        raise HTTPException(409, answer.reason)
    return promotion_json(answer, receiver.ledger.events.of(found.id))


def decided(found: Promotion, kind: ControlKind, receiver: Receiver, caller: Caller) -> bool:
    """Tell whether a change that is asked for again was made, though its answer was lost."""
    if caller.change is None:
        return False
    return receiver.ledger.controls.made(found.id, kind, caller.actor, caller.change.at)


def _approvals(found: Promotion, receiver: Receiver) -> ApprovalsJson:
    given = receiver.ledger.admissions.approvals(found.id)
    counting = (
        ()
        if found.image is None
        else standing(
            given,
            image=found.image.digest,
            requester=found.trigger.actor,
            now=receiver.config.now(),
            lasts=receiver.config.rules.lasts,
        )
    )
    return ApprovalsJson(
        needed=found.plan.approvals,
        standing=len(counting),
        image=None if found.image is None else str(found.image),
        items=[
            ApprovalJson(
                actor=each.actor,
                image=each.image.value,
                comment=each.comment,
                at=each.at,
                counts=each in counting,
            )
            for each in given
        ],
    )


def _known(promotion: str, receiver: Receiver) -> Promotion:
    found = receiver.ledger.promotions.get(promotion)
    if found is None:
        raise HTTPException(404, "There is no promotion of that id: list the promotions.")
    return found
