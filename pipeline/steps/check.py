"""Check: the service's policy admits the model version, or says what it lacks.

Safe to repeat: it only reads.
"""

from pipeline.domain.evidence import CheckedModel, Refused, ResolvedModel
from pipeline.domain.plan import Plan
from pipeline.domain.policy import unmet_tags
from pipeline.image.config import host_platform
from pipeline.image.version_key import platform_of
from pipeline.ports import ServingTarget


def check(resolved: ResolvedModel, *, plan: Plan, target: ServingTarget) -> CheckedModel | Refused:
    """Compare the version's tags with ``require.tags``, its platform with the target's.

    What the target objects to is refused here, before anything is built or changed; what follows
    its first line is a diff.
    """
    if objection := target.objection(plan):
        why, _, diff = objection.partition("\n")
        return Refused(
            f"{resolved.model} cannot be rolled out to {plan.service}: {why}",
            {"diff": diff.splitlines()} if diff else {},
        )
    if other := _other_platform(platform_of(plan), plan.service, target):
        return Refused(f"{resolved.model} cannot be built for {plan.service}: {other}")
    unmet = unmet_tags(plan.required_tags, resolved.tags)
    if unmet:
        return Refused(
            f"{resolved.model} may not be promoted to {plan.service}: {'; '.join(unmet)}; "
            "set the tags on the version in MLflow, then the alias again",
            {"unmet": list(unmet)},
        )
    return CheckedModel(resolved, tuple(f"tag {tag}" for tag in sorted(plan.required_tags)))


def _other_platform(wanted: str, service: str, target: ServingTarget) -> str:
    """Say in one clause why an image of this platform could not run, or not be built; else ``""``.

    An environment is installed and tried out where it is built, so that must be such a machine too.
    """
    there = target.platforms(service)
    if wanted not in there:
        return (
            f"its images are for {wanted}, and it runs on {', '.join(sorted(there))}: set platform:"
        )
    if wanted != host_platform():
        return f"its images are for {wanted}, this worker is {host_platform()}: run one on {wanted}"
    return ""
