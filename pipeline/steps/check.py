"""Check: the service's policy admits the model version, or says what it lacks.

Safe to repeat: it only reads.
"""

from pipeline.domain.evidence import CheckedModel, Refused, ResolvedModel
from pipeline.domain.plan import Plan
from pipeline.domain.policy import unmet_metrics, unmet_tags
from pipeline.errors import NotFoundError
from pipeline.image.config import host_platform
from pipeline.image.version_key import platform_of
from pipeline.ports import ModelRegistry, ServingTarget


def check(
    resolved: ResolvedModel, *, plan: Plan, target: ServingTarget, registry: ModelRegistry
) -> CheckedModel | Refused:
    """Hold tags and metrics against ``require``, the platform against the target's.

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
    tags = unmet_tags(plan.required_tags, resolved.tags)
    metrics = _unmet_metrics(resolved, plan, registry)
    if tags or metrics:
        unmet = [*tags, *metrics]
        hint = "set the tags on the version in MLflow, then the alias again"
        if metrics:
            hint = "promote a version whose run is good enough"
        return Refused(
            f"{resolved.model} may not be promoted to {plan.service}: {'; '.join(unmet)}; {hint}",
            {"unmet": unmet},
        )
    passed = [f"tag {tag}" for tag in sorted(plan.required_tags)]
    passed += [
        f"metric {name} {plan.required_metrics[name]}" for name in sorted(plan.required_metrics)
    ]
    return CheckedModel(resolved, tuple(passed))


def _unmet_metrics(resolved: ResolvedModel, plan: Plan, registry: ModelRegistry) -> tuple[str, ...]:
    """Read the run's metrics, where any is asked for; a version without a run has none."""
    if not plan.required_metrics:
        return ()
    if resolved.run_id is None:
        return ("it has no run whose metrics could be read",)
    try:
        actual = registry.metrics(resolved.run_id, resolved.model.workspace)
    except NotFoundError:
        return (f"its run {resolved.run_id} was deleted, with its metrics",)
    return unmet_metrics(plan.required_metrics, actual)


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
