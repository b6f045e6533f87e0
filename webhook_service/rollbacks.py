"""What a call for a rollback comes to, whoever makes it."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.exceptions import HTTPException

from pipeline.domain.acceptance import rollback_draft
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Promotion, Trigger
from pipeline.domain.references import ImageRef
from pipeline.domain.rollback import AlreadyBack, Impossible, Stop, asked_for
from pipeline.domain.serving import Hold
from webhook_service.access import Receiver
from webhook_service.problems import Unfit


@dataclass(frozen=True, slots=True)
class WantedBack:
    """What somebody wants a service to return to; ``move_alias`` outranks the settings."""

    service: str
    to: str | None = None
    if_serving: str | None = None
    reason: str = ""
    move_alias: bool | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """The promotion that does it: begun now (202), or found done (200)."""

    promotion: Promotion
    status: int


def known(name: str, receiver: Receiver) -> Plan:
    """Find a service of laurel.yaml, or answer 404."""
    plan = receiver.config.services.get(name)
    if plan is None:
        there = ", ".join(sorted(receiver.config.services)) or "none"
        raise HTTPException(404, f"There is no service of that name; laurel.yaml has {there}.")
    return plan


def roll_back(wanted: WantedBack, receiver: Receiver, trigger: Trigger, promotion: str) -> Done:
    """Begin a rollback, find that it is done, or answer 409 with the digests that would do.

    ``promotion`` is the id that it gets. The service is held with it, in the same transaction.
    """
    plan = known(wanted.service, receiver)

    def decide(
        history: Sequence[Promotion], observed: ImageRef | None
    ) -> Promotion | AlreadyBack | Impossible:
        found = asked_for(history, observed, to=wanted.to, if_serving=wanted.if_serving)
        if not isinstance(found, Stop):
            return found
        return rollback_draft(
            plan,
            found,
            promotion=promotion,
            trigger=trigger,
            reason=wanted.reason,
            move_alias=wanted.move_alias,
        )

    hold = Hold(trigger.actor, wanted.reason or "rollback", trigger.at)
    answer: Promotion | AlreadyBack | Impossible = receiver.ledger.rollbacks.ask(
        wanted.service, promotion, decide, hold
    )
    if isinstance(answer, Impossible):
        would_do = ", ".join(answer.choices) or "none"
        why = f"{answer.reason[0].upper()}{answer.reason[1:]}. Digests that would do: {would_do}."
        raise Unfit(409, why, digests=list(answer.choices))
    if isinstance(answer, AlreadyBack):
        return Done(answer.promotion, 200)
    receiver.config.wake()
    return Done(answer, 202)
