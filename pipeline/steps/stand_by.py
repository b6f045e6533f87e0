"""Stand by: who is ready, and needs no canary, gets no traffic while people keep it back.

Safe to repeat: it only looks. It looks at what a canary looks at before each raise, by the same
:func:`gate`.
"""

from pipeline.domain.admission import FREEZE, RELEASE, RESUME
from pipeline.domain.evidence import CanaryRevision, Stopped, Unknown
from pipeline.domain.traffic import Gate
from pipeline.errors import UnavailableError
from pipeline.ports import Clock, Freezes, Journal, StillWanted

LONGEST_SLEEP = 0.25
"""Seconds until a decision to stop is seen, however rare the looks are: a rollback waits for it."""


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
        now = gate(revision.service, clock=clock, journal=journal, freezes=freezes)
        journal.waiting(now.closed, now.until)
        if now.closed is None:
            answer = still_wanted()
            if isinstance(answer, Unknown):
                raise UnavailableError("read the alias again", "mlflow", answer.why)
            return answer or revision
        clock.sleep(LONGEST_SLEEP)
    return Stopped(control)


def gate(service: str, *, clock: Clock, journal: Journal, freezes: Freezes) -> Gate:
    """Ask whether more may be given now; who completes a canary outranks a pause and a hold."""
    steering = journal.steering()
    frozen = freezes.frozen(service, clock.now())
    if frozen is not None:
        return Gate(FREEZE, frozen.until, steering.completed)
    if steering.paused is not None:
        return Gate(RESUME, None, steering.completed)
    held = steering.completed is None and journal.held() is not None
    return Gate(RELEASE if held else None, None, steering.completed)
