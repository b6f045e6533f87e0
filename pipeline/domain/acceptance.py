"""Which request becomes which promotion: drafts for the ledger, which numbers them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.domain.evidence import Refused
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Kind, Phase, Promotion, Trigger
from pipeline.domain.references import Digest, ImageRef, ModelVersion, model_slug
from pipeline.domain.rollback import Stop


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks to promote: a version, or whatever an alias names when it starts.

    Or the digest of an image that was built already, which says itself of which version it is.
    Without ``service``, every service that watches the model is meant; with an alias, those that
    watch this alias (interfaces §8.14). With one, an image needs no ``model``.
    """

    model: str | None
    version: int | None = None
    alias: str | None = None
    service: str | None = None
    rebuild: bool = False
    reason: str = ""
    image: Digest | None = None


def meant(services: Mapping[str, Plan], wanted: Wanted) -> tuple[Plan, ...] | Refused:
    """Find the services that a request is about."""
    if wanted.service is not None:
        plan = services.get(wanted.service)
        if plan is None or wanted.model not in {None, plan.model}:
            return Refused(f"no service of that name serves that model; {_known(services)}")
        return (plan,)
    found = tuple(plan for plan in services.values() if _watches(plan, wanted))
    return found or Refused(f"no service watches that model and alias; {_known(services)}")


def _watches(plan: Plan, wanted: Wanted) -> bool:
    return plan.model == wanted.model and wanted.alias in {None, plan.alias}


def _known(services: Mapping[str, Plan]) -> str:
    if not services:
        return "laurel.yaml lists no service"
    watched = (f"{name} ({plan.model}@{plan.alias})" for name, plan in sorted(services.items()))
    return "laurel.yaml has " + ", ".join(watched)


def promotion_draft(plan: Plan, wanted: Wanted, *, promotion: str, trigger: Trigger) -> Promotion:
    """Draft the promotion of what was asked for; version 0 stands for the alias's, not yet read."""
    return Promotion(
        id=promotion,
        sequence=0,
        service=plan.service,
        kind=Kind.PROMOTION,
        phase=Phase.PENDING,
        plan=plan,
        model=ModelVersion(plan.model, wanted.version or 0, plan.workspace),
        trigger=trigger,
        created_at=trigger.at,
        alias=wanted.alias,
        rebuild=wanted.rebuild,
        target=None if wanted.image is None else ImageRef(_repository(plan), wanted.image),
        reason=wanted.reason,
    )


def _repository(plan: Plan) -> str:
    return plan.repository or model_slug(plan.model)


def retry_draft(ended: Promotion, plan: Plan, *, promotion: str, trigger: Trigger) -> Promotion:
    """Draft the same again, under the settings of today; finished work is found by digest."""
    return Promotion(
        id=promotion,
        sequence=0,
        service=ended.service,
        kind=ended.kind,
        phase=Phase.PENDING,
        plan=replace(plan, move_alias=ended.plan.move_alias),
        model=ended.model,
        trigger=trigger,
        created_at=trigger.at,
        alias=ended.alias,
        rebuild=ended.rebuild,
        target=ended.target,
        retry_of=ended.id,
    )


def rollback_draft(
    plan: Plan,
    stop: Stop,
    *,
    promotion: str,
    trigger: Trigger,
    reason: str,
    move_alias: bool | None = None,
) -> Promotion:
    """Draft the return to an image that the service served; ``move_alias`` outranks the plan."""
    if move_alias is not None:
        plan = replace(plan, move_alias=move_alias)
    return Promotion(
        id=promotion,
        sequence=0,
        service=plan.service,
        kind=Kind.ROLLBACK,
        phase=Phase.PENDING,
        plan=plan,
        model=stop.model,
        trigger=trigger,
        created_at=trigger.at,
        target=stop.image,
        reason=reason,
    )
