"""Check: the service's policy admits the model version, or says what it lacks.

Safe to repeat: it compares values that ``resolve`` already read.
"""

from pipeline.domain.evidence import CheckedModel, Refused, ResolvedModel
from pipeline.domain.plan import Plan
from pipeline.domain.policy import unmet_tags


def check(resolved: ResolvedModel, *, plan: Plan) -> CheckedModel | Refused:
    """Compare the version's tags with ``require.tags`` of the service."""
    unmet = unmet_tags(plan.required_tags, resolved.tags)
    if unmet:
        return Refused(
            f"{resolved.model} may not be promoted to {plan.service}: {'; '.join(unmet)}; "
            "set the tags on the version in MLflow, then the alias again",
            {"unmet": list(unmet)},
        )
    return CheckedModel(resolved, tuple(f"tag {tag}" for tag in sorted(plan.required_tags)))
