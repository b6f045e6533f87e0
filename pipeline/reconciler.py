"""Alias map against ledger: what should be promoted and is not.

The only place where an alias starts a promotion. A delivery only wakes it; what it acts on is the
alias as MLflow tells it now (law 1). It finds every move that no webhook told, never seeks an
answer twice that it already has, and never undoes a hold (interfaces §8.1-8.6, §8.10).
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from pipeline.alias_reader import AliasReader
from pipeline.domain.aliases import (
    Decision,
    Promote,
    Reading,
    Refuse,
    Remember,
    Settle,
    Wait,
    Withdraw,
    decide,
    ends,
)
from pipeline.domain.delivery import AliasAction, AliasDelivery, Outcome
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import (
    Control,
    ControlKind,
    Kind,
    Phase,
    Promotion,
    Trigger,
    TriggerKind,
)
from pipeline.domain.references import Alias, ModelVersion
from pipeline.ledger import Ledger, new_id
from pipeline.ports import Clock, ModelRegistry

_SOON = timedelta(seconds=1)
_log = logging.getLogger(__name__)


class Reconciler:
    """Compares the alias of every service with what was last attempted.

    Parameters
    ----------
    services
        What is watched, by service name.
    poll
        How often each alias is read when nothing wakes the reconciler.

    """

    def __init__(
        self,
        ledger: Ledger,
        registry: ModelRegistry,
        services: Mapping[str, Plan],
        clock: Clock,
        poll: timedelta,
    ) -> None:
        self._ledger = ledger
        self._aliases = AliasReader(registry, ledger, clock)
        self._services = services
        self._clock = clock
        self._poll = poll
        self._due: dict[str, datetime] = {}
        self._looked: dict[str, datetime] = {}
        self._gone_since: dict[str, datetime] = {}
        self._first_seen: dict[str, tuple[int | None, datetime]] = {}

    def tick(self, unseen: frozenset[str] = frozenset()) -> None:
        """Look at every service that is due or that a delivery woke; one fault stops no other.

        Nothing is decided about the ``unseen``: a hold may stand on their target.
        """
        woken = self._woken()
        held = self._ledger.holds.unread()
        now = self._clock.now()
        due = [
            name
            for name in self._services
            if name not in unseen
            and (name in woken or self._is_due(name, now) or self._held_since(name, held))
        ]
        answers: dict[str, tuple[Outcome, str | None] | None] = {}
        read = self._aliases.read([self._services[name] for name in due])
        for name in due:
            if name in read:
                answers[name] = self._answer(self._services[name], read[name], woken[name])
            else:
                self._due[name] = now + _SOON
        self._settle(woken, answers)

    def _woken(self) -> defaultdict[str, list[AliasDelivery]]:
        woken: defaultdict[str, list[AliasDelivery]] = defaultdict(list)
        seen: dict[tuple[Alias, int], datetime] = {}
        for delivery in self._ledger.deliveries.unsettled():
            for alias, version in self._named(delivery):
                seen.setdefault((alias, version), delivery.received_at)
            for service in delivery.services:
                woken[service].append(delivery)
        for (alias, version), at in seen.items():
            self._ledger.sightings.saw(alias, version, at)
        return woken

    def _named(self, delivery: AliasDelivery) -> Iterator[tuple[Alias, int]]:
        """Say what a delivery saw an alias on, in the workspace of each service that it wakes."""
        if delivery.action is AliasAction.CREATED and delivery.version is not None:
            for workspace in {self._services[name].workspace for name in self._known(delivery)}:
                yield Alias(delivery.model, delivery.alias, workspace), delivery.version

    def _known(self, delivery: AliasDelivery) -> list[str]:
        return [name for name in delivery.services if name in self._services]

    def _is_due(self, service: str, now: datetime) -> bool:
        wait = self._due.get(service, now) - now
        return not timedelta(0) < wait <= max(self._poll, _SOON)  # longer: the clock was set back

    def _held_since(self, service: str, held: Mapping[str, datetime]) -> bool:
        """Whether the alias was not read since the service was held: what it names is urgent."""
        looked = self._looked.get(service)
        return service in held and (looked is None or looked < held[service])

    def _answer(
        self, plan: Plan, version: int | None, deliveries: list[AliasDelivery]
    ) -> tuple[Outcome, str | None] | None:
        now = self._clock.now()
        self._due[plan.service] = now + self._poll
        self._looked[plan.service] = now
        self._end_hold(plan, version)
        reading = self._reading(plan, version, tuple(deliveries), now)
        decision = decide(reading, plan.alias, plan.from_alias)
        if isinstance(decision, Wait):
            self._due[plan.service] = now + min(_SOON, self._poll)
        return self._carry_out(plan, decision, reading)

    def _end_hold(self, plan: Plan, version: int | None) -> None:
        """End a hold as soon as the alias is read on another version (§8.10)."""
        hold = self._ledger.holds.get(plan.service)
        if hold is not None and ends(hold, version):
            self._ledger.holds.release(
                plan.service,
                hold,
                actor=f"mlflow:{plan.alias}",
                at=self._clock.now(),
                reason=f"@{plan.alias} names version {version} now",
            )

    def _reading(
        self, plan: Plan, version: int | None, deliveries: tuple[AliasDelivery, ...], now: datetime
    ) -> Reading:
        if version is None:
            self._tell_gone(plan)
            self._gone_since.setdefault(plan.service, now)
        else:
            self._gone_since.pop(plan.service, None)
        return Reading(
            now=now,
            poll=self._poll,
            version=version,
            attempted=self._ledger.promotions.latest(plan.service, kind=Kind.PROMOTION),
            newest=self._ledger.promotions.latest(plan.service),
            hold=self._ledger.holds.get(plan.service),
            deliveries=deliveries,
            challenged=self._challenged(plan, version),
            gone_since=self._gone_since.get(plan.service),
            first_seen=self._since(plan.service, version, now),
        )

    def _since(self, service: str, version: int | None, now: datetime) -> datetime:
        """Tell since when the alias has been read on this version, and no other in between."""
        seen, since = self._first_seen.get(service, (version, now))
        self._first_seen[service] = version, since if seen == version else now
        return self._first_seen[service][1]

    def _tell_gone(self, plan: Plan) -> None:
        """Say once that nothing names a version any more; what serves at 100 % stays (§8.5)."""
        stands = self._ledger.states.get(plan.service)
        serves = stands is not None and stands[0].stable is not None
        if serves and plan.service not in self._gone_since:
            _log.warning(
                "@%s of %s is gone; %s goes on serving what it serves",
                *(plan.alias, plan.model, plan.service),
                extra={"service": plan.service},
            )

    def _challenged(self, plan: Plan, version: int | None) -> bool:
        if plan.from_alias is None or version is None:
            return True
        alias = Alias(plan.model, plan.from_alias, plan.workspace)
        return self._ledger.sightings.ever(alias, version)

    def _carry_out(
        self, plan: Plan, decision: Decision, seen: Reading
    ) -> tuple[Outcome, str | None] | None:
        match decision:
            case Wait():
                return None
            case Settle(outcome):
                attempted = seen.attempted
                return outcome, None if attempted is None else attempted.id
            case Remember(hold):
                self._ledger.holds.remember(plan.service, hold)
                return Outcome.HELD, None
            case Withdraw(promotion, reason):
                control = Control(ControlKind.ABORT, "reconciler", reason, seen.now)
                if self._ledger.controls.first(promotion.id) is None:
                    self._ledger.controls.add(promotion.id, control)
                return Outcome.NOTHING_NEW, promotion.id
            case Promote(version):
                return self._accept(_draft(plan, version, seen), seen)
            case Refuse(version, reason):
                draft = _draft(plan, version, seen)
                ended = replace(draft, phase=Phase.FAILED, reason=reason, ended_at=seen.now)
                return self._accept(ended, seen)

    def _accept(self, draft: Promotion, seen: Reading) -> tuple[Outcome, str] | None:
        newest = 0 if seen.newest is None else seen.newest.sequence
        accepted = self._ledger.promotions.accept_if_still(draft, newest)
        if accepted is None:  # a person was faster: look again
            self._due[draft.service] = seen.now
            return None
        return Outcome.PROMOTED, accepted.id

    def _settle(
        self,
        woken: Mapping[str, list[AliasDelivery]],
        answers: Mapping[str, tuple[Outcome, str | None] | None],
    ) -> None:
        """Settle the deliveries whose every service has an answer; a start outweighs the rest."""
        settled: defaultdict[tuple[Outcome, str | None], list[str]] = defaultdict(list)
        for delivery in {d.id: d for group in woken.values() for d in group}.values():
            given = [answers.get(name) for name in self._known(delivery)]
            found = [answer for answer in given if answer is not None]
            if len(found) == len(given):
                best = next(
                    (answer for answer in found if self._started(answer, delivery)),
                    found[0] if found else (Outcome.NOTHING_NEW, None),
                )
                settled[_told(best, delivery, self._ledger)].append(delivery.id)
        for answer, deliveries in settled.items():
            self._ledger.deliveries.settle(deliveries, *answer)

    def _started(self, answer: tuple[Outcome, str | None], delivery: AliasDelivery) -> bool:
        return answer[0] is Outcome.PROMOTED and delivery.action is AliasAction.CREATED


def _told(
    answer: tuple[Outcome, str | None], delivery: AliasDelivery, ledger: Ledger
) -> tuple[Outcome, str | None]:
    """Say ``promoted`` only of the version that was; the rest was coalesced into it."""
    outcome, promotion = answer
    if outcome is not Outcome.PROMOTED or promotion is None:
        return answer
    made = ledger.promotions.get(promotion)
    if made is None or made.model.version != delivery.version:
        return Outcome.COALESCED, promotion
    return answer


def _draft(plan: Plan, version: int, seen: Reading) -> Promotion:
    """Write down what to promote; a delivery that named this version gets the credit."""
    named = plan.alias, version
    credited = next((d for d in seen.deliveries if (d.alias, d.version) == named), None)
    delivery_id = None if credited is None else credited.id
    kind = TriggerKind.RECONCILER if credited is None else TriggerKind.WEBHOOK
    return Promotion(
        id=new_id(),
        sequence=0,
        service=plan.service,
        kind=Kind.PROMOTION,
        phase=Phase.PENDING,
        plan=plan,
        model=ModelVersion(plan.model, version, plan.workspace),
        trigger=Trigger(kind, f"mlflow:{plan.alias}", seen.now, delivery_id),
        created_at=seen.now,
        alias=plan.alias,
    )
