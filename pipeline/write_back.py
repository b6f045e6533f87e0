"""Tell MLflow how each promotion ended, as tags of the version, where people clicked.

An outbox: the ledger knows which ended promotions have not been told yet, so nothing is lost while
MLflow is away, and a promotion never waits for it. Tags are for people; nothing reads them back.
A rollback that was to move the alias moves it here, too.
"""

import logging
from contextlib import suppress
from datetime import datetime, timedelta

from pipeline.domain.promotion import Kind, Phase, Promotion
from pipeline.domain.references import Alias, ModelVersion
from pipeline.errors import NotFoundError, PermanentError, TransientError
from pipeline.ledger import Ledger, stamp
from pipeline.ports import Clock, ModelRegistry

_log = logging.getLogger(__name__)
_AGAIN = timedelta(seconds=10)


class WriteBack:
    """Writes the final state of promotions into MLflow."""

    def __init__(self, ledger: Ledger, registry: ModelRegistry, clock: Clock) -> None:
        self._ledger = ledger
        self._registry = registry
        self._clock = clock
        self._not_before: datetime | None = None

    def tick(self) -> None:
        """Tell what has not been told; where MLflow is away, try again later."""
        now = self._clock.now()
        if self._not_before is not None and now < self._not_before:
            return
        self._not_before = None
        for promotion in self._ledger.promotions.untold():
            try:
                self._tell(promotion)
            except TransientError as error:
                _log.warning("MLflow not told yet: %s", error, extra={"promotion": promotion.id})
                self._not_before = now + _AGAIN
                return
            except PermanentError as error:  # no right to tag, or the version was deleted
                data = {"warning": f"MLflow was not told all of it: {error}"}
                self._ledger.events.append(promotion.id, now, "warning", data)
                _log.warning("MLflow not told: %s", error, extra={"promotion": promotion.id})
            self._ledger.promotions.told(promotion.id, now)

    def _tell(self, promotion: Promotion) -> None:
        succeeded = promotion.phase is Phase.SUCCEEDED
        before = self._served_before(promotion) if succeeded else None
        if before is not None and before != promotion.model:
            with suppress(NotFoundError):  # deleted since: nobody is left to be told
                self._registry.set_tags(before, {f"laurel.{promotion.service}.serving": "false"})
        self._registry.set_tags(promotion.model, self._tags(promotion))
        if succeeded and promotion.kind is Kind.ROLLBACK and promotion.plan.move_alias:
            self._move_alias(promotion)

    def _move_alias(self, promotion: Promotion) -> None:
        """Let the alias name what the rollback returned to, unless it has a newer meaning.

        What it names by now was decided later, where no promotion of this service tried it yet,
        or where one began since.
        """
        of, version = promotion.plan, promotion.model.version
        alias = Alias(of.model, of.alias, of.workspace)
        history = self._ledger.promotions.of_service(promotion.service)
        tried = {past.model.version for past in history}
        named = self._registry.alias(alias)
        newest = history[0].id == promotion.id
        if not version or named not in tried - {version} or not newest:
            return
        self._registry.set_alias(alias, version)
        data = {"alias": of.alias, "from": named, "to": version}
        self._ledger.events.append(promotion.id, self._clock.now(), "alias_moved", data)

    def _served_before(self, promotion: Promotion) -> ModelVersion | None:
        """Name the version whose image this promotion took the traffic from."""
        for past in self._ledger.promotions.of_service(promotion.service):
            if past.image == promotion.previous_image and past.phase is Phase.SUCCEEDED:
                return past.model
        return None

    def _tags(self, promotion: Promotion) -> dict[str, str]:
        known = self._ledger.states.get(promotion.service)
        stable = known[0].stable if known is not None else None
        serving = stable is not None and stable.image == promotion.image
        tags = {
            "phase": promotion.phase.value,
            "promotion": promotion.id,
            "serving": "true" if serving else "false",
            "image": "" if promotion.image is None else str(promotion.image),
            "url": "" if known is None else known[0].url,
        }
        named = {f"laurel.{promotion.service}.{key}": value for key, value in tags.items() if value}
        return named | {"laurel.updated_at": stamp(self._clock.now())}
