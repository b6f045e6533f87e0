"""The outbox of one channel: collect what it is to be told, send it, try again, at last give up.

At least once: what was sent is recorded afterwards, so a worker that dies in between sends it
again, under the same id. While a channel is away nothing of it is lost, and nothing waits for it.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from pipeline.domain.notice import Notice
from pipeline.errors import LaurelError, PermanentError, TransientError
from pipeline.ledger import Ledger
from pipeline.ledger.notifications import Due
from pipeline.notify.rule import KINDS, Rule, topics_of
from pipeline.notify.text import notice_of
from pipeline.ports import Clock

PATIENCE = timedelta(hours=24)
"""How long a notice is tried."""
_LONGEST_WAIT = 600.0
_LONGEST_ASKED = 3600.0
"""Seconds that a receiver may ask us to wait, in ``Retry-After``."""
_AT_ONCE = 20
_PAGE = 200
_log = logging.getLogger(__name__)


class Sender(Protocol):
    """How a notice goes out."""

    def send(self, notice: Notice) -> None:
        """Send it once, or raise what :mod:`pipeline.errors` has for it."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One entry of ``notifications`` in laurel.yaml."""

    name: str
    rule: Rule
    sender: Sender


class Notifier:
    """Tells one channel what it asked for.

    Parameters
    ----------
    url
        Where people reach this Laurel, for links.

    """

    def __init__(self, ledger: Ledger, channel: Channel, clock: Clock, *, url: str) -> None:
        self._ledger = ledger
        self._outbox = ledger.notifications
        self._channel = channel
        self._clock = clock
        self._url = url
        self._seen: int | None = None
        self._not_before: datetime | None = None

    @property
    def name(self) -> str:
        """The channel's name."""
        return self._channel.name

    def tick(self) -> None:
        """Collect what happened since, and send what is due."""
        self._collect()
        now = self._clock.now()
        if self._not_before is not None and now < self._not_before:
            return
        for due in self._outbox.due(self.name, now, _AT_ONCE):
            if not self._deliver(due):
                return

    def _collect(self) -> None:
        """Queue what is wanted; the cursor is written only with it, or else every look would be."""
        newest = self._outbox.newest()
        if self._seen is None:
            self._seen = self._outbox.cursor(self.name)
        while self._seen < newest:
            found = self._outbox.between(self._seen, newest, kinds=KINDS, limit=_PAGE)
            last = found[-1][0] if len(found) == _PAGE else newest
            rule = self._channel.rule
            wanted = [
                event for event, entry in found if rule.wants(entry, topics_of(entry, self._ledger))
            ]
            if wanted:
                self._outbox.queue(self.name, wanted, cursor=last, at=self._clock.now())
            self._seen = last

    def _deliver(self, due: Due) -> bool:
        """Send one; tell whether the next may be tried."""
        try:
            self._channel.sender.send(self._notice(due))
        except LaurelError as error:
            return self._failed(due, error)
        self._outbox.delivered(self.name, due, self._clock.now())
        return True

    def _notice(self, due: Due) -> Notice:
        entry = due.entry
        known = None if entry.promotion is None else self._ledger.promotions.get(entry.promotion)
        return notice_of(entry, topics_of(entry, self._ledger), known, self._url)

    def _failed(self, due: Due, error: LaurelError) -> bool:
        now = self._clock.now()
        if now - due.queued_at >= PATIENCE:
            self._give_up(due, error, now)
            return isinstance(error, PermanentError)
        again_at = now + _wait(due.attempts, error)
        self._outbox.failed(self.name, due, str(error), again_at=again_at)
        _log.warning("%s was not told, trying again: %s", self.name, error, extra=_about(due))
        if isinstance(error, PermanentError):
            return True
        self._not_before = again_at  # the next would fare no better
        return False

    def _give_up(self, due: Due, error: LaurelError, now: datetime) -> None:
        warning = f"{self.name} was never told of this, for a day: {error}"
        self._outbox.give_up(self.name, due, str(error), now, warning)
        _log.error("%s", warning, extra=_about(due))


def _wait(attempts: int, error: LaurelError) -> timedelta:
    asked = error.retry_after if isinstance(error, TransientError) else None
    seconds = min(2.0 ** min(attempts, 16), _LONGEST_WAIT)
    return timedelta(seconds=max(seconds, min(asked or 0.0, _LONGEST_ASKED)))


def _about(due: Due) -> dict[str, str | None]:
    return {"service": due.entry.service, "promotion": due.entry.promotion}
