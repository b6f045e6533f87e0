"""Rollbacks: decided, held and accepted in one transaction.

Two who press the button at the same moment, on two machines even, queue on the ledger's one lock:
the second decides about what the first has done. A receiver that is killed in between has done all
of it, or nothing.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from pipeline.domain.promotion import Promotion
from pipeline.domain.references import ImageRef
from pipeline.domain.serving import Hold
from pipeline.ledger.database import Database
from pipeline.ledger.promotions import accept_within, find_within, newest_first
from pipeline.ledger.services import hold_within, observed_within

T = TypeVar("T")
Decide = Callable[[Sequence[Promotion], ImageRef | None], T | Promotion]
"""Says what a service's promotions, newest first, and what it was last seen to serve, ask for."""


class Rollbacks:
    """Accepts rollbacks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, service: str, promotion: str, decide: Decide[T], hold: Hold) -> T | Promotion:
        """Ask what a rollback comes to: a draft is accepted, and its service held first.

        Whatever else is decided changes nothing. ``promotion`` is the draft's id: where it was
        accepted before, that is the answer.
        """
        with self._database.write() as connection:
            known = find_within(connection, promotion)
            if known is not None:
                return known
            history = newest_first(connection, service)
            state = observed_within(connection, service)
            stable = None if state is None else state[0].stable
            decided = decide(history, None if stable is None else stable.image)
            if not isinstance(decided, Promotion):
                return decided
            hold_within(connection, service, hold)
            return accept_within(connection, decided)
