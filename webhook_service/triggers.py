"""Which services an alias event wakes. Names match exactly; workspaces are not compared (§8.1)."""

from collections.abc import Mapping

from pipeline.domain.plan import Plan
from webhook_service.events import AliasEvent


def watching(services: Mapping[str, Plan], event: AliasEvent) -> tuple[str, ...]:
    """List the services whose alias, or whose ``from_alias``, the event is about.

    MLflow can name the wrong workspace in the body, so each service re-reads in its own.
    """
    return tuple(
        sorted(
            name
            for name, plan in services.items()
            if plan.model == event.model and event.alias in {plan.alias, plan.from_alias}
        )
    )


def nearly_watching(services: Mapping[str, Plan], event: AliasEvent) -> tuple[str, ...]:
    """List the services that would be woken if the alias were written with other capitals."""
    written = event.alias.casefold()
    return tuple(
        sorted(
            name
            for name, plan in services.items()
            if plan.model == event.model and plan.alias.casefold() == written
        )
    )
