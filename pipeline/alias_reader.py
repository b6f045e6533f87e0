"""Read what aliases name now, and remember every version that each was seen on."""

import logging
from collections.abc import Iterable, Sequence
from itertools import groupby

from pipeline.domain.plan import Plan
from pipeline.domain.references import Alias
from pipeline.errors import StepError
from pipeline.ledger import Ledger
from pipeline.ports import Clock, ModelRegistry

_log = logging.getLogger(__name__)
_SINGLE_READS = 50


class AliasReader:
    """Reads watched aliases from MLflow: one by one up to fifty, else the whole map at once."""

    def __init__(self, registry: ModelRegistry, ledger: Ledger, clock: Clock) -> None:
        self._registry = registry
        self._ledger = ledger
        self._clock = clock
        self._unreadable: dict[str, str] = {}

    def read(self, plans: Sequence[Plan]) -> dict[str, int | None]:
        """Read the alias of each service; a service whose alias cannot be read is left out."""
        groups: Iterable[list[Plan]] = ([plan] for plan in plans)
        if len(plans) > _SINGLE_READS:
            ordered = sorted(plans, key=_workspace)
            groups = (list(group) for _, group in groupby(ordered, key=_workspace))
        found: dict[str, int | None] = {}
        for group in groups:
            try:
                found |= self._one(group[0]) if len(group) == 1 else self._map(group)
            except StepError as error:
                self._tell([plan.service for plan in group], error)
        for service in found.keys() & self._unreadable.keys():
            del self._unreadable[service]
            _log.info("alias readable again", extra={"service": service})
        return found

    def _tell(self, services: Sequence[str], error: StepError) -> None:
        """Say once per outage, not once per look, that an alias cannot be read."""
        for service in services:
            if self._unreadable.get(service) != str(error):
                _log.warning("alias not readable: %s", error, extra={"service": service})
            self._unreadable[service] = str(error)

    def _one(self, plan: Plan) -> dict[str, int | None]:
        """Read the challenger first: a version that moves on to champion meanwhile is seen."""
        found = None
        for alias in _watched(plan):
            found = self._saw(alias, self._registry.alias(alias))
        return {plan.service: found}

    def _map(self, plans: Sequence[Plan]) -> dict[str, int | None]:
        aliases = self._registry.aliases(plans[0].workspace)
        found: dict[str, int | None] = {}
        for plan in plans:
            for alias in _watched(plan):
                found[plan.service] = self._saw(alias, aliases.get((alias.model, alias.name)))
        return found

    def _saw(self, alias: Alias, version: int | None) -> int | None:
        if version is not None:
            self._ledger.sightings.saw(alias, version, self._clock.now())
        return version


def _watched(plan: Plan) -> list[Alias]:
    names = [name for name in (plan.from_alias, plan.alias) if name is not None]
    return [Alias(plan.model, name, plan.workspace) for name in names]


def _workspace(plan: Plan) -> str:
    return plan.workspace
