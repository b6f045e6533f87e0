"""Resolve: a model version becomes its run and the place of its files, as MLflow names them now.

Safe to repeat: it only reads.
"""

from pipeline.domain.evidence import Refused, ResolvedModel
from pipeline.domain.promotion import Promotion
from pipeline.errors import NotFoundError
from pipeline.ports import ModelRegistry


def resolve(promotion: Promotion, *, registry: ModelRegistry) -> ResolvedModel | Refused:
    """Ask MLflow for the version; one that was deleted meanwhile is refused."""
    model = promotion.model
    try:
        version = registry.version(model)
    except NotFoundError:
        return Refused(f"{model} is not in MLflow any more: register it again and move the alias")
    return ResolvedModel(
        model=model,
        alias=promotion.alias,
        run_id=version.run_id,
        model_id=version.model_id,
        source=version.source,
        artifact_uri=version.artifact_uri,
        tags=version.tags,
    )
