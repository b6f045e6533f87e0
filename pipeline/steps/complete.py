"""Give the revision all of the traffic, and say so only once it was observed.

Safe to repeat: completing what is already complete changes nothing.
"""

from pipeline.domain.evidence import Analysis, CanaryRevision, Served
from pipeline.errors import ConflictError
from pipeline.ports import ServingTarget

_ALL = 100


def complete(
    evidence: Analysis | CanaryRevision, *, sequence: int, target: ServingTarget
) -> Served:
    """End a promotion well.

    ``evidence`` is an analysis that passed, or a bare revision where none is asked for: the first
    deploy of a service, and a return to a digest that was served before (interfaces §8.9, §8.11).

    Raises
    ------
    ConflictError
        Where the target reports something else at 100 % afterwards.
    StepError
        Where the target cannot be reached or won't let us.

    """
    revision = evidence.revision if isinstance(evidence, Analysis) else evidence
    target.complete(revision.service, revision.revision, sequence)
    state = target.observe(revision.service)
    stable = state.stable
    # its image tells, not its name: a target that cleaned up may serve it by another revision
    if stable is None or stable.image != revision.image or stable.percent != _ALL:
        raise ConflictError(
            "see the revision take all traffic",
            f"{revision.service}, {revision.revision}",
            f"it serves {f'{stable.name} at {stable.percent} %' if stable else 'nothing'}; "
            "look again",
        )
    return Served(revision.service, stable.name, revision.image, state.url)
