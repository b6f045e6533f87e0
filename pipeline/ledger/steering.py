"""Who keeps a promotion where it is, lets it go on, or ends its canary well: in one transaction.

What cannot be any more is found where it would be written, so that of two who decide at the same
moment the second is told what the first made of it.
"""

import sqlalchemy as sa

from pipeline.domain.evidence import Refused
from pipeline.domain.promotion import Control, ControlKind, Kind, Promotion, Steering
from pipeline.ledger import schema
from pipeline.ledger.database import Database
from pipeline.ledger.promotions import decide_within, known_within, steering_of

_STARTED, _ENDED = "step_started", "step_ended"


class Steerings:
    """Decisions that end nothing: pause, resume, complete."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, promotion: str, control: Control) -> Promotion | Refused:
        """Record a decision, or say why it cannot be, with where the promotion stands.

        Raises
        ------
        NotFoundError
            Where no such promotion is known.

        """
        with self._database.write() as connection:
            found = known_within(connection, promotion, "steer")
            objection = _objection(connection, found, control.kind)
            if objection is not None:
                return Refused(objection)
            decide_within(connection, found, control)
        return found


def _objection(connection: sa.Connection, found: Promotion, kind: ControlKind) -> str | None:
    stands = f"The promotion stands at {found.phase}"
    if found.phase.ended:
        return f"The promotion has ended {found.phase}: nothing is to be steered."
    if found.kind is Kind.ROLLBACK:
        return f"{stands}: a rollback waits for nobody."
    begun, done = _steps(connection, found.id, _STARTED), _steps(connection, found.id, _ENDED)
    if "complete" in begun:
        return f"{stands}: it takes all traffic already."
    return _too_late_or_early(steering_of(connection, found.id), kind, stands, begun - done)


def _too_late_or_early(
    steering: Steering, kind: ControlKind, stands: str, under_way: set[str]
) -> str | None:
    paused, completed = steering.paused, steering.completed
    if kind is ControlKind.PAUSE and paused is not None:
        return f"{stands}: {paused.actor} paused it already."
    if kind is ControlKind.RESUME and paused is None:
        return f"{stands}: nobody paused it."
    if kind is ControlKind.COMPLETE and completed is not None:
        return f"{stands}: {completed.actor} completed it already."
    if kind is ControlKind.COMPLETE and "canary" not in under_way:
        return f"{stands}: it has no canary that could be completed."
    return None


def _steps(connection: sa.Connection, promotion: str, kind: str) -> set[str]:
    events = schema.events
    query = sa.select(events.c.data).where(events.c.promotion == promotion, events.c.kind == kind)
    return {data["name"] for data in connection.execute(query).scalars()}
