"""What Laurel's MLflow account may, level by level; nothing is written to find out."""

from collections.abc import Iterable, Iterator

from pipeline.doctor.finding import Finding, bad, ok, warn
from pipeline.domain.plan import Plan
from pipeline.domain.references import Alias, ModelVersion
from pipeline.errors import ForbiddenError
from pipeline.ports import ModelRegistry, RegistryServer

CHECK = "rights"


def examine(
    server: RegistryServer, models: ModelRegistry, plans: Iterable[Plan]
) -> Iterator[Finding]:
    """Read each watched model, and ask to tag it."""
    for model, workspace in sorted({(plan.model, plan.workspace) for plan in plans}):
        yield _of_model(ModelVersion(model, 1, workspace), server, models)


def _of_model(model: ModelVersion, server: RegistryServer, models: ModelRegistry) -> Finding:
    check = f"{CHECK} {model.name}"
    try:
        models.alias(Alias(model.name, "laurel-doctor", model.workspace))
    except ForbiddenError:
        return bad(
            check,
            f"Laurel's MLflow account may not read {model.name}",
            f"grant it READ on the registered model {model.name} and on its experiment",
        )
    if not server.may_tag(model):
        return warn(
            check,
            f"Laurel's MLflow account may read {model.name} and not tag it: what became of a "
            "promotion stands nowhere in MLflow",
            f"grant it EDIT on the registered model {model.name}",
        )
    return ok(check, f"Laurel's MLflow account may read and tag {model.name}")
