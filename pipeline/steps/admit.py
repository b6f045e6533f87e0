"""Admit: wait, before anything of the service is changed, until the image may have traffic.

Three things are waited for, in this order: that enough people agree to this very image, that no
freeze covers the service, that a canary's place is free. Safe to repeat: approvals and places are
rows of the ledger, and who was let in once is let in again.
"""

from datetime import datetime

from pipeline.domain.admission import APPROVAL, Admitted, Rules, Wait
from pipeline.domain.evidence import AdmittedImage, Refused, Stopped, Unknown, VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Control
from pipeline.errors import UnavailableError
from pipeline.ports import Clock, Freezes, Journal, StillWanted

WAITING = "waiting"
"""Kind of the journal's notes that tell what is waited for, and since when."""
_LOOK_EVERY = 1.0


def admit(  # noqa: PLR0913 - a step's keyword-only parameters are its permission list
    verified: VerifiedImage,
    *,
    plan: Plan,
    rules: Rules,
    place: bool,
    freezes: Freezes,
    clock: Clock,
    journal: Journal,
    still_wanted: StillWanted,
) -> AdmittedImage | Refused | Stopped:
    """Wait till the image may have traffic; ``place`` tells whether it takes a canary's place.

    The alias is read again at the end, because days may have passed.

    Raises
    ------
    StepError
        Where the ledger or MLflow cannot be read.

    """
    while (control := journal.control()) is None:
        now = clock.now()
        frozen = freezes.frozen(plan.service, now)
        answer = journal.enter(verified.ref.digest, rules=rules, place=place, frozen=frozen)
        match answer:
            case Control():
                return Stopped(answer)
            case Admitted(approvals):
                return _wanted(AdmittedImage(verified, approvals), journal, still_wanted)
            case Wait():
                since = _told(answer, verified, journal, now)
                if answer.for_ == APPROVAL and now - since >= rules.lasts:
                    return _too_late(answer, verified, rules)
                until = since + rules.lasts if answer.for_ == APPROVAL else answer.until
                journal.waiting(answer.for_, until)
        clock.sleep(_LOOK_EVERY)
    return Stopped(control)


def pass_by(verified: VerifiedImage) -> AdmittedImage:
    """Let the image of a rollback in: going back waits for nobody."""
    return AdmittedImage(verified)


def _wanted(
    admitted: AdmittedImage, journal: Journal, still_wanted: StillWanted
) -> AdmittedImage | Stopped:
    answer = still_wanted()
    if isinstance(answer, Unknown):
        raise UnavailableError("read the alias again", "mlflow", answer.why)
    journal.waiting(None)
    return answer or admitted


def _told(answer: Wait, verified: VerifiedImage, journal: Journal, now: datetime) -> datetime:
    """Tell once what is waited for, also over a crash, and return since when it is."""
    image, notes = verified.ref.digest.value, journal.notes(WAITING)
    if notes and (notes[-1]["for"], notes[-1]["image"]) == (answer.for_, image):
        return datetime.fromisoformat(notes[-1]["since"])
    journal.note(
        WAITING,
        {
            "for": answer.for_,
            "image": image,
            "since": now.isoformat(),
            "reason": f"{verified.model} waits: {answer.why}",
        },
    )
    return now


def _too_late(answer: Wait, verified: VerifiedImage, rules: Rules) -> Refused:
    hours = rules.lasts.total_seconds() / 3600
    return Refused(
        f"{verified.model} was not approved within {hours:g} h: {answer.why}; promote it again "
        "when somebody will",
        {"image": str(verified.ref)},
    )
