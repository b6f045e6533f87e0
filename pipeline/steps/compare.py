"""Compare: may who calls what serves now call this version as well? Their signatures say so.

Safe to repeat: it only reads. What cannot be compared, because a version has gone from MLflow or
the serving one never said its signature, is no reason to refuse.
"""

from pipeline.domain.compatibility import breaking, changes
from pipeline.domain.evidence import Compared, Refused, Unknown
from pipeline.domain.plan import Plan
from pipeline.domain.references import ModelVersion
from pipeline.domain.serving import ServiceState
from pipeline.ports import ArtifactStore, ModelRegistry
from pipeline.signatures import signature_of


def compare(
    model: ModelVersion,
    state: ServiceState,
    *,
    plan: Plan,
    registry: ModelRegistry,
    store: ArtifactStore,
) -> Compared | Refused:
    """Compare a version's signature with that of the version that serves.

    A change that breaks callers is refused, unless the service says ``compatible_signature:
    false``.
    """
    serving = state.stable.model_version if state.stable is not None else None
    if serving is None or serving == model.version:
        return Compared("", ())
    before = ModelVersion(plan.model, serving, plan.workspace)
    was = signature_of(before, registry=registry, store=store)
    becomes = signature_of(model, registry=registry, store=store)
    if was is None or isinstance(was, Unknown) or isinstance(becomes, Unknown):
        return Compared("", ())
    found = changes(was, becomes)
    broken = breaking(found)
    if broken and plan.compatible_signature:
        return Refused(
            f"{model} would break who calls {plan.service} now, which serves {before}: "
            f"{'; '.join(broken)}; let the callers change first and write require: "
            "{compatible_signature: false}, or serve it as another service",
            {"breaking": list(broken)},
        )
    return Compared(str(before), tuple(change.what for change in found))
