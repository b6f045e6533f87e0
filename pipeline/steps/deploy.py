"""Start the admitted image as a revision that takes no traffic, and wait until it can.

Safe to repeat: the target finds the revision that already runs this image.
"""

from pipeline.domain.evidence import AdmittedImage, CanaryRevision, Refused, Stopped, Unknown
from pipeline.domain.plan import Plan
from pipeline.domain.serving import Readiness
from pipeline.ports import Clock, Journal, ServingTarget, StillWanted

READY_WITHIN = 600
"""Seconds that a revision may take until it is ready, where the service does not say."""
GRACE = 30
"""Seconds more, in which the target may say in its own words why it was not."""
_WAIT = 1.0
"""Seconds until a decision to stop is seen, however the target waits."""


def deploy(  # noqa: PLR0913 - a step's keyword-only parameters are its permission list
    admitted: AdmittedImage,
    *,
    plan: Plan,
    sequence: int,
    target: ServingTarget,
    clock: Clock,
    journal: Journal,
    still_wanted: StillWanted,
    at_once: bool = False,
) -> CanaryRevision | Refused | Stopped:
    """Bring a revision up at 0 %, beside stable if there is one.

    ``at_once`` is for what served before and takes everything without steps. The alias is read
    again at the end, because a first deploy takes all traffic next.

    Raises
    ------
    StepError
        Where the target or MLflow cannot be reached or won't let us.

    """
    verified = admitted.verified
    stable = target.observe(plan.service).stable
    name = target.deploy(plan, verified, sequence, at_once=at_once)
    ended = _until_ready(name, plan, target=target, clock=clock, journal=journal)
    ended = ended or _until_wanted(plan, clock=clock, journal=journal, still_wanted=still_wanted)
    if ended is not None:
        return ended
    beside = stable.name if stable is not None and stable.name != name else None
    return CanaryRevision(plan.service, name, verified.ref, beside)


def _until_ready(
    revision: str, plan: Plan, *, target: ServingTarget, clock: Clock, journal: Journal
) -> Refused | Stopped | None:
    started, limit = clock.now(), plan.pods.progress_deadline or READY_WITHIN
    while (control := journal.control()) is None:
        readiness, detail = target.readiness(plan.service, revision, wait=_WAIT)
        if readiness is Readiness.READY:
            return None
        late = (clock.now() - started).total_seconds() >= limit + GRACE
        if readiness is Readiness.FAILED or late:
            failed = readiness is Readiness.FAILED
            what = "could not start" if failed else f"was not ready within {limit} s"
            return Refused(
                f"{plan.service}'s new revision {revision} {what}: {detail or 'it said nothing'}; "
                "mend that, then promote again",
                {"revision": revision, "readiness": readiness.value, "detail": detail},
            )
    return Stopped(control)


def _until_wanted(
    plan: Plan, *, clock: Clock, journal: Journal, still_wanted: StillWanted
) -> Refused | Stopped | None:
    """Ask until MLflow answers, for as long as a canary's step would."""
    started = clock.now()
    while (control := journal.control()) is None:
        answer = still_wanted()
        if not isinstance(answer, Unknown):
            journal.waiting(None)
            return answer
        if (clock.now() - started).total_seconds() >= plan.canary.deadline:
            return Refused(
                f"{plan.service} stays as it is: MLflow could not be asked for {plan.model}"
                f"@{plan.alias} in {plan.canary.deadline:g} s ({answer.why}); "
                "make it reachable, then retry"
            )
        journal.waiting("mlflow")
        clock.sleep(1.0)
    return Stopped(control)
