"""Ledger values as the API's JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Promotion
from pipeline.domain.serving import Revision
from pipeline.ledger import Event, Ledger
from webhook_service.shapes import (
    CanaryJson,
    EventJson,
    HoldJson,
    ModelJson,
    PromotionJson,
    RevisionJson,
    ServiceJson,
    StepJson,
    TriggerJson,
    WaitingJson,
)

_ONLY_FOR_A_RESTART = "state"


def promotion_json(promotion: Promotion, events: Sequence[Event] = ()) -> PromotionJson:
    """Show a promotion; its steps and its canary come out of its events."""
    waiting = promotion.waiting
    return PromotionJson(
        id=promotion.id,
        sequence=promotion.sequence,
        kind=promotion.kind.value,
        phase=promotion.phase.value,
        reason=promotion.reason,
        service=promotion.service,
        model=_model(promotion),
        trigger=TriggerJson(**asdict(promotion.trigger)),
        image=_text(promotion.image),
        previous_image=_text(promotion.previous_image),
        target=_text(promotion.target),
        retry_of=promotion.retry_of,
        artifact_digest=_text(promotion.artifact_digest),
        lock_digest=_text(promotion.lock_digest),
        base_digest=_text(promotion.base_digest),
        key_id=promotion.key_id,
        steps=_steps(events),
        canary=_canary(events),
        waiting=None if waiting is None else WaitingJson(**asdict(waiting)),
        created_at=promotion.created_at,
        started_at=promotion.started_at,
        ended_at=promotion.ended_at,
    )


def events_json(events: Iterable[Event]) -> list[EventJson]:
    """Show events, without what only a restarted worker needs."""
    return [
        EventJson(
            id=event.id,
            at=event.at,
            kind=event.kind,
            data={k: v for k, v in event.data.items() if k != _ONLY_FOR_A_RESTART},
        )
        for event in events
    ]


def service_json(plan: Plan, ledger: Ledger, target: str) -> ServiceJson:
    """Show a service as the worker last observed it."""
    state, observed_at = ledger.states.get(plan.service) or (None, None)
    hold, latest = ledger.holds.get(plan.service), ledger.promotions.latest(plan.service)
    return ServiceJson(
        name=plan.service,
        model=plan.model,
        alias=plan.alias,
        target=target,
        stable=None if state is None else _revision(state.stable),
        canary=None if state is None else _revision(state.canary),
        hold=None if hold is None else HoldJson(actor=hold.actor, reason=hold.reason, at=hold.at),
        drift=None if state is None else state.drift or None,
        foreign=None if state is None else state.foreign,
        promotion=None if latest is None else latest.id,
        url=None if state is None else state.url,
        observed_at=observed_at,
    )


def _model(promotion: Promotion) -> ModelJson:
    return ModelJson(
        name=promotion.model.name,
        version=promotion.model.version or None,
        run_id=promotion.run_id,
        model_id=promotion.model_id,
        source=promotion.source,
        alias=promotion.alias,
        workspace=promotion.model.workspace,
    )


def _steps(events: Iterable[Event]) -> list[StepJson]:
    """Fold starts and ends into one line per step; a restarted worker starts a step again."""
    steps: dict[str, StepJson] = {}
    for event in events:
        if event.kind == "step_started":
            _start(steps, event)
        elif event.kind == "step_ended":
            step = steps[event.data["name"]]
            step.phase, step.evidence = event.data["phase"], event.data["evidence"]
            step.ended_at = event.at
    return list(steps.values())


def _start(steps: dict[str, StepJson], event: Event) -> None:
    name = event.data["name"]
    if name in steps:
        step = steps[name]
        step.phase, step.attempts, step.ended_at = "running", step.attempts + 1, None
    else:
        steps[name] = StepJson(
            name=name,
            phase="running",
            attempts=1,
            started_at=event.at,
            ended_at=None,
            evidence={},
        )


def _canary(events: Iterable[Event]) -> list[CanaryJson]:
    """Keep the last look of each percent."""
    looks = {event.data["percent"]: event.data for event in events if event.kind == "look"}
    return [CanaryJson.model_validate(look) for look in looks.values()]


def _revision(revision: Revision | None) -> RevisionJson | None:
    if revision is None:
        return None
    return RevisionJson(
        image=str(revision.image),
        model_version=revision.model_version,
        revision=revision.name,
        percent=revision.percent,
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
