"""What brings a service back to stable, decided from what stands there: one step at a time, pure.

Restoring starts from every state that a crash, a bad canary, KServe, Knative or a person can leave
behind. Each step is decided anew from the object as it is, so that no step needs to know which one
came before it; all of them end in the same state: stable's image is asked for, no percent, no note
of a change in flight, and all traffic on revisions of stable.
"""

from dataclasses import dataclass
from enum import StrEnum

from pipeline.kserve.inference import InferenceService


class Act(StrEnum):
    """What to do next."""

    DONE = "done"
    WAIT = "wait"
    REMOVE = "remove the InferenceService: this promotion made it, and nothing was ever stable"
    REPAIR = "correct what KServe remembers: stable is not what it calls rolled out"
    DEFEND = "make harmless what KServe remembers"
    ABORT = "ask for stable's image with 0 %"
    WITHDRAW = "ask for stable's image without a percent: nothing runs"
    BRAKE = "give stable everything without KServe, which is refused whatever it asks for"
    AGAIN = "ask for another revision of stable: Knative gave up the one it had made"
    RETREAT = "ask for 0 %: the newest ready revision is not stable's, and has a share"
    CLEAN = "take the percent and the notes away: a revision of stable is ready"


@dataclass(frozen=True, slots=True)
class Sight:
    """The InferenceService with what decides of its revisions.

    Parameters
    ----------
    now
        The InferenceService.
    created, rolled_out
        The images of the newest revision, and of the one that KServe calls rolled out.
    able
        Whether the newest revision can take everything at once.
    standing
        A revision of stable that can, where the one that KServe calls rolled out is none; else "".
    strange
        Whether any traffic goes to another image than stable's.
    final
        Whether Knative has nothing left to make of what was asked for before.
    given_up
        Whether the newest revision is stable's, and Knative gave it up: it comes no more by itself,
        also when what hindered it, a quota, is gone.
    kept
        Whether KServe is refused whatever it asks for, and Knative kept the canary.

    """

    now: InferenceService
    created: str
    rolled_out: str
    able: bool = False
    standing: str = ""
    strange: bool = False
    final: bool = False
    given_up: bool = False
    kept: bool = False

    @property
    def asked(self) -> bool:
        """Tell whether stable's image is asked for already."""
        return asked(self.now)


def asked(now: InferenceService) -> bool:
    """Tell whether an InferenceService asks for stable's image."""
    return now.image == now.digest if now.digest else not now.undoable


def runs_stable(now: InferenceService, image: str) -> bool:
    """Tell whether an image is what should be stable.

    What was taken over from somebody else may have no digest: then it is all but the canary.
    """
    return bool(image) and (image == now.digest if now.digest else image != now.canary)


def decide(sight: Sight) -> Act:
    """Say what to do next."""
    now = sight.now
    if now.first:
        return Act.REMOVE
    if now.stopped:
        return _stopped(sight)
    if sight.asked and _over(sight):
        return Act.CLEAN
    if misremembered(sight):
        return Act.REPAIR
    return _end(sight) if sight.asked else _abort(sight)


def misremembered(sight: Sight) -> bool:
    """Tell whether KServe gives stable's share to something else, and can be told (trap 7)."""
    return sight.now.percent is not None and sight.standing != ""


def defenceless(sight: Sight) -> bool:
    """Tell whether 0 % could be taken for an order to roll back to something else (trap B)."""
    now = sight.now
    return runs_stable(now, sight.rolled_out) and now.previous not in {"", now.rolled_out}


def _stopped(sight: Sight) -> Act:
    """Leave a spec that starts with stable: KServe forgets everything when it stops (trap 6).

    Only once it did: until then it would take a percent that goes for a promotion.
    """
    if sight.now.created or sight.now.traffic:
        return Act.WAIT
    return Act.DONE if sight.asked and sight.now.clean else Act.WITHDRAW


def _abort(sight: Sight) -> Act:
    if defenceless(sight):
        return Act.DEFEND
    if sight.now.percent is None and sight.standing:
        return Act.RETREAT  # promoted by hand: 0 % turns to what served before, which stands
    return Act.ABORT


def _over(sight: Sight) -> bool:
    """Tell whether stable loses nothing when the percent goes.

    Either a fresh revision of it can take everything, or none will come: a percent that stays on a
    service at rest would be an order to roll back.
    """
    now = sight.now
    if now.percent is None or not _fresh(sight):
        return False
    return sight.final if now.created == now.rolled_out else sight.able


def _fresh(sight: Sight) -> bool:
    return runs_stable(sight.now, sight.created) and sight.now.created == sight.now.ready


def _waiting(sight: Sight) -> Act:
    """Wait for a fresh revision of stable, but for what no waiting mends."""
    if sight.kept and runs_stable(sight.now, sight.rolled_out):
        return Act.BRAKE
    return Act.AGAIN if sight.given_up else Act.WAIT


def _end(sight: Sight) -> Act:
    now, fresh = sight.now, _fresh(sight)
    if now.percent == 0:
        return _waiting(sight)
    strange = sight.strange and not fresh and runs_stable(now, sight.rolled_out)
    if now.percent is not None or strange:  # somebody else wrote it, or took it away
        return Act.DEFEND if defenceless(sight) else Act.RETREAT
    if not now.clean:
        return Act.CLEAN
    moving = fresh and now.rolled_out != now.created
    served = now.routed and bool(now.traffic) and not sight.strange
    return Act.DONE if served and not moving else Act.WAIT
