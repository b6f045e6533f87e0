"""Keep what serves as it should be, and write down what is observed of it.

The ledger is the truth about holds, and the target carries a copy: a Laurel that lost its ledger
finds it there, so that nothing automatic undoes what a person decided (interfaces §8.3, §8.10).
"""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime

from pipeline.domain.serving import Hold, ServiceState
from pipeline.errors import LaurelError, TransientError
from pipeline.ledger import Ledger
from pipeline.ports import Clock, ServingTarget
from pipeline.steps.canary import ATTENTION
from pipeline.steps.rollback import restore

_log = logging.getLogger(__name__)


class Keeper:
    """Looks at every service, every two seconds and after each promotion."""

    def __init__(
        self, ledger: Ledger, target: ServingTarget, clock: Clock, services: Iterable[str]
    ) -> None:
        self._ledger = ledger
        self._target = target
        self._clock = clock
        self._services = tuple(services)
        self._answered: set[str] = set()
        self._faults: dict[str, str] = {}

    def keep(self) -> None:
        """Have the target bring back what should serve, and look at every service in any case."""
        try:
            self._target.keep()
        finally:
            for service in self._services:
                self.look(service)

    def unseen(self) -> frozenset[str]:
        """Name the services of which nobody knows yet what serves, and what holds them.

        Until that is known nothing automatic starts. A target that says it never will tell, for
        want of a right, is an answer: a promotion says so then.
        """
        quiet = (name for name in self._services if name not in self._answered)
        return frozenset(name for name in quiet if self._ledger.states.get(name) is None)

    def look(self, service: str) -> None:
        """Write down what a service serves now, where that is news; a fault is told once."""
        try:
            self._observe(service)
        except LaurelError as error:  # the next look will tell; what was seen before stays
            if not isinstance(error, TransientError):
                self._answered.add(service)
            if self._faults.get(service) != str(error):
                _log.warning("cannot tell what %s serves: %s", service, error)
            self._faults[service] = str(error)
        else:
            self._answered.add(service)
            self._faults.pop(service, None)

    def _observe(self, service: str) -> None:
        state = self._target.observe(service)
        found = self._ledger.states.get(service)
        known = None if found is None else found[0]
        if self._is_first_sight(state, known):
            self._take_over(state)
        if state.drift and (known is None or known.drift != state.drift):
            _log.warning("%s: %s", service, state.drift, extra={"service": service})
            attention(self._ledger, service, state.drift, self._clock.now())
        if known != state:
            self._ledger.states.observed(state, self._clock.now())
        self._write_hold(state)
        self._end_orphan(state)

    def _is_first_sight(self, state: ServiceState, known: ServiceState | None) -> bool:
        """Tell whether promotions changed it that this ledger knows nothing of: it was lost."""
        if known is None:
            return True
        if state.sequence <= known.sequence:
            return False
        newest = self._ledger.promotions.latest(state.name)
        return newest is None or state.sequence > newest.sequence

    def _take_over(self, state: ServiceState) -> None:
        """Take over a hold that stands there, unless a later one is known."""
        known = self._ledger.holds.get(state.name)
        if state.hold is not None and (known is None or known.at < state.hold.at):
            self._ledger.holds.set(state.name, state.hold)
            _log.warning(
                "%s is held by %s (%s), as its target says: taken over",
                *(state.name, state.hold.actor, state.hold.reason),
                extra={"service": state.name},
            )

    def _write_hold(self, state: ServiceState) -> None:
        """Copy the ledger's hold to what Laurel made; to nothing else."""
        if state.sequence and state.foreign is None:
            hold = self._ledger.holds.get(state.name)
            if not _same(hold, state.hold):
                self._target.hold(state.name, hold)

    def _end_orphan(self, state: ServiceState) -> None:
        """Put traffic back that no promotion answers for: its ledger was lost.

        An older sequence is refused, so what was accepted meanwhile loses nothing. What a person
        gave by hand is drift, and the service's settings say what becomes of it.
        """
        if state.canary is None or not state.canary.percent or state.drift:
            return
        if all(each.service != state.name for each in self._ledger.promotions.open()):
            _log.warning("no promotion answers for %s: put back", state.canary.name)
            restore(state.name, sequence=state.sequence, target=self._target)


def attention(
    ledger: Ledger, service: str, reason: str, at: datetime, more: Mapping[str, str] | None = None
) -> None:
    """Tell people of drift in the story of the service's latest promotion, if there was one."""
    latest = ledger.promotions.latest(service)
    if latest is not None:
        note = {"since": at.isoformat(), "reason": reason, "about": "drift", **(more or {})}
        ledger.events.append(latest.id, at, ATTENTION, note)


def _same(one: Hold | None, other: Hold | None) -> bool:
    """Compare what matters, to the second: a target may write times more coarsely."""
    if one is None or other is None:
        return one is other
    told = [(each.actor, each.reason, each.alias_version) for each in (one, other)]
    return told[0] == told[1] and abs((one.at - other.at).total_seconds()) < 1
