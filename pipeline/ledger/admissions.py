"""Who agreed to what, and who was let into traffic: rows, events and places, in one transaction.

Writers queue on the ledger's one lock, so that of several who decide at the same moment, people or
promotions, each sees what the one before did.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from pipeline.domain.admission import (
    APPROVAL,
    CANARIES,
    FREEZE,
    RELEASE,
    RESUME,
    Admission,
    Admitted,
    Approval,
    Frozen,
    Limits,
    Rules,
    Wait,
    in_turn,
    person,
    standing,
)
from pipeline.domain.evidence import Refused
from pipeline.domain.promotion import Kind, Promotion
from pipeline.domain.references import Digest
from pipeline.ledger import schema
from pipeline.ledger.database import Database
from pipeline.ledger.promotions import OPEN, controls_of, known_within, steering_of
from pipeline.ledger.rows import stamp
from pipeline.ledger.services import held_within
from pipeline.ledger.story import ADMITTED, tell_admitted, tell_approved, tell_invited

_table = schema.approvals
_promotions = schema.promotions


@dataclass(frozen=True, slots=True)
class Entrance:
    """Who asks to be let in: with which image, by which rules, with a canary's place or without."""

    image: Digest
    rules: Rules
    place: bool
    frozen: Frozen | None
    at: datetime


class Admissions:
    """Approvals, and the door that they open."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def approve(
        self,
        promotion: str,
        *,
        actor: str,
        at: datetime,
        rules: Rules,
        image: Digest | None = None,
        comment: str = "",
        link: str | None = None,
    ) -> Approval | Refused:
        """Record that somebody agrees to a promotion's image; twice by one person is once.

        ``image`` is the one that they looked at, where they say. ``link`` marks the single-use link
        that they used.
        """
        with self._database.write() as connection:
            found = _known(connection, promotion)
            said = _approvals(connection, promotion)
            if link is not None and _by_link(connection, link) is not None:
                return Refused("This link was used; ask for another one.")
            refusal = _objection(connection, found, actor, image)
            if refusal is not None or found.image is None:
                return Refused(refusal or "")
            stands = _standing(found, found.image.digest, said, rules, at)
            mine = [each for each in stands if person(each.actor) == person(actor)]
            if mine:
                return mine[0]
            approval = Approval(actor, found.image.digest, comment, at)
            row = {
                "promotion": promotion,
                "image": approval.image.value,
                "actor": actor,
                "comment": comment,
                "at": stamp(at),
                "link": link,
            }
            connection.execute(sa.insert(_table).values(row))
            tell_approved(connection, found, approval, link)
        return approval

    def approvals(self, promotion: str) -> tuple[Approval, ...]:
        """List everybody's approvals, the first one first, also those that count no more."""
        with self._database.read() as connection:
            return _approvals(connection, promotion)

    def invite(
        self, promotion: str, *, actor: str, by: str | None, at: datetime, until: datetime
    ) -> Digest | Refused:
        """Record that somebody gets a link to approve by, and return the image that it is for.

        ``by`` made it; ``None`` is who may open the ledger.
        """
        with self._database.write() as connection:
            found = _known(connection, promotion)
            refusal = _objection(connection, found, actor, None)
            if refusal is not None or found.image is None:
                return Refused(refusal or "")
            tell_invited(connection, found, actor, by=by, at=at, until=until)
        return found.image.digest

    def objection(self, promotion: str, *, actor: str, image: Digest) -> str | None:
        """Say why somebody cannot approve this image now; nothing is changed."""
        with self._database.read() as connection:
            return _objection(connection, _known(connection, promotion), actor, image)

    def used(self, link: str) -> Approval | None:
        """Find what a single-use link was used for, if it was."""
        with self._database.read() as connection:
            return _by_link(connection, link)

    def enter(self, promotion: str, entrance: Entrance) -> Admission:
        """Let a promotion into traffic, or say what it waits for.

        What is waited for is read without keeping anybody from writing; only where nothing is left
        it is asked again in the transaction that lets it in.
        """
        with self._database.read() as connection:
            answer = _answer(connection, promotion, entrance)
        if not isinstance(answer, Admitted):
            return answer
        with self._database.write() as connection:
            answer = _answer(connection, promotion, entrance)
            if isinstance(answer, Admitted):
                _let_in(connection, promotion, entrance, answer)
        return answer


def _answer(connection: sa.Connection, promotion: str, asked: Entrance) -> Admission:
    """Decide, in the order in which people are told: approvals, pause, hold, freeze, place."""
    found = _known(connection, promotion)
    ending = [each for each in controls_of(connection, promotion) if each.kind.ends]
    if ending:
        return ending[0]
    let_in = _admitted(connection, promotion, asked.image)
    # After a crash those who stood when it was let in, though their words are too old by now.
    then = asked.at if let_in is None else let_in
    stands = _standing(found, asked.image, _approvals(connection, promotion), asked.rules, then)
    if let_in is not None:
        return Admitted(stands)
    return _awaited(connection, found, asked, len(stands)) or Admitted(stands)


def _awaited(
    connection: sa.Connection, found: Promotion, asked: Entrance, stands: int
) -> Wait | None:
    missing, needed = found.plan.approvals - stands, found.plan.approvals
    if missing > 0:
        why = f"it needs {missing} more of {needed} approvals of {asked.image.short}"
        return Wait(APPROVAL, why)
    paused = steering_of(connection, found.id).paused
    if paused is not None:
        return Wait(RESUME, f"paused by {paused.actor}")
    hold = held_within(connection, found.service) if found.trigger.kind.automatic else None
    if hold is not None:
        return Wait(RELEASE, f"the service is held by {hold.actor}: {hold.reason}")
    if asked.frozen is not None:
        return Wait(FREEZE, asked.frozen.reason, asked.frozen.until)
    if asked.place and not _free(connection, found, asked.rules.limits):
        return Wait(CANARIES, "as many canaries run as may at once")
    return None


def _let_in(connection: sa.Connection, promotion: str, asked: Entrance, admitted: Admitted) -> None:
    if _admitted(connection, promotion, asked.image) is not None:
        return
    if asked.place:
        placed = sa.update(_promotions).where(_promotions.c.id == promotion)
        connection.execute(placed.values(placed_at=stamp(asked.at)))
    found = _known(connection, promotion)
    tell_admitted(connection, found, asked.image, admitted.approvals, asked.at)


def _free(connection: sa.Connection, found: Promotion, limits: Limits) -> bool:
    """Tell whether a canary's place is free, and no older promotion waits for it."""
    if limits == Limits():
        return True
    query = sa.select(
        _promotions.c.id, _promotions.c.plan, _promotions.c.placed_at, _promotions.c.waiting
    ).where(_promotions.c.phase.in_(OPEN))
    rows = connection.execute(query.order_by(_promotions.c.id)).all()
    taken = [_namespace(row.plan) for row in rows if row.placed_at]
    waiting = [
        (row.id, _namespace(row.plan))
        for row in rows
        if row.id == found.id or (not row.placed_at and _waits_for(row.waiting) == CANARIES)
    ]
    return in_turn(limits, taken, waiting, found.id)


def _namespace(plan: dict[str, str]) -> str:
    return plan.get("namespace", "")


def _waits_for(waiting: dict[str, str] | None) -> str | None:
    return None if waiting is None else waiting["for_"]


def _objection(
    connection: sa.Connection, found: Promotion, actor: str, image: Digest | None
) -> str | None:
    """Say why somebody cannot approve this now, with what can be done."""
    stands_at = f"The promotion stands at {found.phase}"
    known = None if found.image is None else found.image.digest
    reasons = (
        (found.phase.ended, f"The promotion has ended {found.phase}: nothing is to be approved."),
        (
            found.kind is Kind.ROLLBACK or not found.plan.approvals,
            f"{stands_at} and needs no approval.",
        ),
        (
            known is None,
            f"{stands_at} and its image is not known yet: approve it when it waits for approval.",
        ),
        (
            image not in {None, known},
            f"The promotion's image is {known}, not that one: look at it again.",
        ),
        (
            known is not None and _admitted(connection, found.id, known) is not None,
            f"{stands_at} and was let in already.",
        ),
        (
            person(actor) == person(found.trigger.actor),
            f"{found.trigger.actor} asked for the promotion: somebody else must approve it.",
        ),
    )
    return next((reason for holds, reason in reasons if holds), None)


def _standing(
    found: Promotion, image: Digest, said: Sequence[Approval], rules: Rules, at: datetime
) -> tuple[Approval, ...]:
    requester = found.trigger.actor
    return standing(said, image=image, requester=requester, now=at, lasts=rules.lasts)


def _admitted(connection: sa.Connection, promotion: str, image: Digest) -> datetime | None:
    """Find when an image was let in."""
    events = schema.events
    query = sa.select(events.c.at, events.c.data).where(
        events.c.promotion == promotion, events.c.kind == ADMITTED
    )
    fitting = (at for at, data in connection.execute(query) if data["image"] == image.value)
    return next(map(datetime.fromisoformat, fitting), None)


def _approvals(connection: sa.Connection, promotion: str) -> tuple[Approval, ...]:
    query = sa.select(_table).where(_table.c.promotion == promotion).order_by(_table.c.id)
    return tuple(_approval(row) for row in connection.execute(query).mappings())


def _by_link(connection: sa.Connection, link: str) -> Approval | None:
    row = connection.execute(sa.select(_table).where(_table.c.link == link)).mappings().first()
    return None if row is None else _approval(row)


def _approval(row: sa.RowMapping) -> Approval:
    at = datetime.fromisoformat(row["at"])
    return Approval(row["actor"], Digest(row["image"]), row["comment"], at)


def _known(connection: sa.Connection, promotion: str) -> Promotion:
    return known_within(connection, promotion, "decide about a promotion")
