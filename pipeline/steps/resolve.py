"""Resolve: a model version becomes its run and the place of its files, as MLflow names them now.

Safe to repeat: it only reads.
"""

from dataclasses import replace

from pipeline.domain.evidence import Refused, ResolvedModel
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Promotion
from pipeline.domain.references import Alias
from pipeline.errors import NotFoundError
from pipeline.ports import ModelRegistry


def resolve(promotion: Promotion, *, registry: ModelRegistry) -> ResolvedModel | Refused:
    """Ask MLflow for the version; one that was deleted meanwhile is refused.

    A request by alias means the version that the alias names now.
    """
    model = promotion.model
    if model.version == 0 and promotion.alias is not None:
        named = read_alias(promotion.plan, promotion.alias, registry=registry)
        if named is None:
            return Refused(
                f"@{promotion.alias} names no version of {model.name}: set it in MLflow, or "
                f"promote {model.name}/VERSION"
            )
        model = replace(model, version=named)
    try:
        version = registry.version(model)
    except NotFoundError:
        return Refused(f"{model} is not in MLflow: register it again and move the alias")
    return ResolvedModel(
        model=model,
        alias=promotion.alias,
        run_id=version.run_id,
        model_id=version.model_id,
        source=version.source,
        artifact_uri=version.artifact_uri,
        tags=version.tags,
    )


def read_alias(plan: Plan, alias: str, *, registry: ModelRegistry) -> int | None:
    """Read which version an alias of the service's model names, if any."""
    return registry.alias(Alias(plan.model, alias, plan.workspace))
