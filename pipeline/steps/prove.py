"""Prove: the new revision answers where it runs, before the first request of a user reaches it.

Smoke proved the image in isolation; this proves what only its place can show: the node, its
variables and secrets, the route. Safe to repeat: it asks once more.
"""

from pipeline.domain.evidence import (
    CanaryRevision,
    ProvenRevision,
    Refused,
    Stopped,
    VerifiedImage,
)
from pipeline.domain.serving import Readiness
from pipeline.errors import UnavailableError
from pipeline.ports import Clock, Journal, ServingTarget

ANSWERS_WITHIN = 120.0
"""Seconds that a ready revision may stay unreachable: a minute of a network that is away, twice."""
_ASK_EVERY = 1.0
_OK = 200
_NOT_THE_MODEL = frozenset({502, 503, 504})
"""What proxies answer for a model that they do not reach."""
_SHOWN = 300


def prove(
    revision: CanaryRevision,
    *,
    verified: VerifiedImage,
    target: ServingTarget,
    clock: Clock,
    journal: Journal,
) -> ProvenRevision | Refused | Stopped:
    """Ask the revision, at 0 %, what its image answered when it was smoked.

    An image whose example is not known is not asked: that it is ready, ``deploy`` saw.

    Raises
    ------
    StepError
        Where the target won't let us.

    """
    if verified.example is None:
        return ProvenRevision(revision, "ready", _unknown(verified))
    asked = verified.example.encode()
    started = clock.now()
    while (control := journal.control()) is None:
        status, said = _ask(revision, asked, target)
        if status == _OK:
            return ProvenRevision(revision, "example")
        if status not in _NOT_THE_MODEL:
            return _refuse(revision, f"answers the model's own logged example with {status} {said}")
        readiness, detail = target.readiness(revision.service, revision.revision)
        if readiness is Readiness.FAILED:
            return _refuse(revision, f"ended on the model's own logged example: {detail}")
        if (clock.now() - started).total_seconds() >= ANSWERS_WITHIN:
            return _refuse(revision, f"could not be asked for {ANSWERS_WITHIN:g} s: {said}")
        clock.sleep(_ASK_EVERY)
    return Stopped(control)


def _ask(revision: CanaryRevision, asked: bytes, target: ServingTarget) -> tuple[int, str]:
    try:
        status, answer = target.ask(revision.service, revision.revision, asked)
    except UnavailableError as error:
        return max(_NOT_THE_MODEL), str(error)
    return status, " ".join(answer.decode(errors="replace").split())[:_SHOWN] or "and no word"


def _unknown(verified: VerifiedImage) -> str:
    if verified.example_digest is not None:
        return f"its example {verified.example_digest.short} is too large to be kept with the image"
    return "no example that the image answered is kept with it"


def _refuse(revision: CanaryRevision, what: str) -> Refused:
    return Refused(
        f"{revision.service}'s new revision {revision.revision} {what}; it took no traffic: "
        "mend the model, or what it needs there, and promote it again"
    )
