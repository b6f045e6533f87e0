"""Links by which a person approves in a browser that has no token, once.

An approver makes them, for themselves alone: whoever could make one for somebody else could ask and
approve. The address shows a page that asks, for programs that read mail follow links; only its
button approves. Who made a link, and who used it, is recorded; the link itself is nowhere.
"""

import logging
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from pipeline.domain.access import Role
from pipeline.domain.approval_link import ApprovalLink, new_link, read_link
from pipeline.domain.evidence import Refused
from pipeline.domain.promotion import Promotion
from pipeline.errors import ConfigurationError
from webhook_service.access import Approver, Receiver, ReceiverParts
from webhook_service.config import Links
from webhook_service.pages import LONGEST_COMMENT, asked, said
from webhook_service.shapes import AskLink

router = APIRouter(tags=["promotions"])  # not Repeatable: an answer that is kept would keep a link
_log = logging.getLogger(__name__)
_FIELDS = 8  # of a form; it has one


class LinkJson(BaseModel):
    """A link that was made, told this once."""

    url: str
    actor: str
    until: datetime


@router.post("/promotions/{promotion}/links", status_code=201)
def make(
    promotion: str, receiver: ReceiverParts, caller: Approver, wanted: AskLink | None = None
) -> LinkJson:
    """Make a link by which the caller approves later, once, elsewhere; it ends with their token.

    409 where nothing is to be approved by them.
    """
    links, key = _sealing(receiver)
    now, ledger = receiver.config.now(), receiver.ledger
    if caller.token is None:
        raise HTTPException(403, "A link is made with a token that `laurel token create` made.")
    if ledger.promotions.get(promotion) is None:
        raise HTTPException(404, "There is no promotion of that id: list the promotions.")
    lasts = min(timedelta(seconds=(wanted or AskLink()).seconds), receiver.config.rules.lasts)
    until = (now + lasts).replace(microsecond=0)
    image = ledger.admissions.invite(
        promotion, actor=caller.actor, by=caller.actor, at=now, until=until
    )
    if isinstance(image, Refused):
        raise HTTPException(409, image.reason)
    link = new_link(promotion, image, caller.actor, until=until, token=caller.token)
    return LinkJson(url=links.address(link, key), actor=link.actor, until=link.until)


async def comment_of(request: Request) -> str:
    """Read what the page's form was filled with, if anything."""
    try:
        fields = parse_qs((await request.body()).decode(errors="replace"), max_num_fields=_FIELDS)
    except ValueError:
        return ""
    return fields.get("comment", [""])[0][:LONGEST_COMMENT]


@router.get("/approve/{link}", response_class=HTMLResponse)
def ask(link: str, receiver: ReceiverParts) -> HTMLResponse:
    """Show what the link is for, and ask; nothing is changed.

    404 for what is no link of this Laurel, 410 for one that was used or has ended, 403 where it
    ended with its token, 409 where that image is not to be approved any more.
    """
    found = _found(link, receiver)
    if isinstance(found, HTMLResponse):
        return found
    read, promotion = found
    facts = (
        ("Service", promotion.service),
        ("Model version", str(promotion.model)),
        ("Image", read.image.value),
        ("Asked for by", promotion.trigger.actor),
        ("Why", promotion.reason or "-"),
        ("You are", read.actor),
    )
    question = f"Do you agree, as {read.actor}, that this image gets traffic?"
    return asked(f"Approve {promotion.model} for {promotion.service}", facts, question)


@router.post("/approve/{link}", response_class=HTMLResponse)
def use(
    link: str, receiver: ReceiverParts, comment: Annotated[str, Depends(comment_of)]
) -> HTMLResponse:
    """Approve, on the word of whom the link was made for; answers as the page before does."""
    found = _found(link, receiver)
    if isinstance(found, HTMLResponse):
        return found
    read, promotion = found
    answer = receiver.ledger.admissions.approve(
        read.promotion,
        actor=read.actor,
        at=receiver.config.now(),
        rules=receiver.config.rules,
        image=read.image,
        comment=comment,
        link=read.nonce,
    )
    if isinstance(answer, Refused):  # somebody was faster since it was looked up
        again = _found(link, receiver)
        return again if isinstance(again, HTMLResponse) else _no(409, answer.reason)
    about = f"{promotion.model} ({read.image.short}) for {promotion.service}"
    return said(200, "Approved", f"{read.actor} agrees to {about}. You can close this page.")


def _found(text: str, receiver: Receiver) -> tuple[ApprovalLink, Promotion] | HTMLResponse:
    """Find what a link is good for, or the page that says why it is good for nothing."""
    key = _links(receiver).key()
    read = None if key is None else read_link(text, key)
    promotion = None if read is None else receiver.ledger.promotions.get(read.promotion)
    if read is None or promotion is None:
        why = "It was cut short or changed on its way, or its secret was replaced since."
        return _no(404, "This is no link of this Laurel.", why)
    used = receiver.ledger.admissions.used(read.nonce)
    if used is not None:
        return _no(410, "This link was used.", f"{used.actor} agreed, which is recorded.")
    if read.until <= receiver.config.now():
        return _no(
            410, "This link has ended.", f"It was good until {read.until:%Y-%m-%d %H:%M} UTC."
        )
    if not _vouched(read, promotion.service, receiver):
        return _no(403, f"The token of {read.actor} that made this link is not good any more.")
    objection = receiver.ledger.admissions.objection(
        read.promotion, actor=read.actor, image=read.image
    )
    return (read, promotion) if objection is None else _no(409, objection)


def _vouched(read: ApprovalLink, service: str, receiver: Receiver) -> bool:
    """Tell whether the token that a link was made with would still do; without one, it does."""
    if not read.token:
        return True
    token = receiver.ledger.tokens.get(read.token)
    if token is None or token.state(receiver.config.now()) != "active":
        return False
    return token.grant.allows(Role.APPROVER, service)


def _no(status: int, *sentences: str) -> HTMLResponse:
    _log.info("a link to approve by was answered %d: %s", status, sentences[0])
    return said(status, "Nothing was approved", *sentences)


def _sealing(receiver: Receiver) -> tuple[Links, bytes]:
    links = _links(receiver)
    try:
        return links, links.made_key()
    except ConfigurationError as error:
        _log.warning("%s", error)
        detail = "This Laurel has no secret to seal links with; its log says why."
        raise HTTPException(503, detail) from error


def _links(receiver: Receiver) -> Links:
    if receiver.config.links is None:
        raise HTTPException(404, "This Laurel has no links to approve by.")
    return receiver.config.links
