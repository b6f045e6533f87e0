"""Stand by: what is ready, and needs no canary, gets no traffic while people keep it back.

That is a first deploy, with nothing to be compared with, and a return at once. Safe to repeat: it
only looks.
"""

from pipeline.domain.evidence import CanaryRevision, Stopped, Unknown
from pipeline.domain.traffic import Gate
from pipeline.errors import UnavailableError
from pipeline.ports import Clock, Freezes, Journal, StillWanted

_LOOK_EVERY = 0.25
"""Seconds until a decision to stop is seen: a rollback waits for it."""


def stand_by(
    revision: CanaryRevision,
    *,
    clock: Clock,
    journal: Journal,
    freezes: Freezes,
    still_wanted: StillWanted,
) -> CanaryRevision | Stopped:
    """Wait until a revision may have all of the traffic, and is still wanted.

    It was let in before it started, and a start or a crash takes its time: whoever froze, held or
    paused the service meanwhile is heeded.

    Raises
    ------
    StepError
        Where the ledger or MLflow cannot be read.

    """
    while (control := journal.control()) is None:
        frozen = freezes.frozen(revision.service, clock.now())
        gate = Gate.of(frozen, journal.steering(), held=journal.held() is not None)
        journal.waiting(gate.closed, gate.until)
        if gate.closed is None:
            answer = still_wanted()
            if isinstance(answer, Unknown):
                raise UnavailableError("read the alias again", "mlflow", answer.why)
            return answer or revision
        clock.sleep(_LOOK_EVERY)
    return Stopped(control)
