"""What becomes of edits by hand, as each service's settings say: healed, or adopted.

Edits are seen and told by :mod:`pipeline.keeping`; with ``drift: report`` that is all. Nothing is
done while a promotion acts: it meets the edit itself, ends, and gives stable everything back.
"""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

from pipeline.domain.evidence import Refused, VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.pods import Drift
from pipeline.domain.promotion import Kind, Phase, Promotion, Trigger, TriggerKind
from pipeline.domain.rollback import serving
from pipeline.domain.serving import Hold, ServiceState
from pipeline.errors import LaurelError
from pipeline.keeping import attention
from pipeline.ledger import Ledger, new_id
from pipeline.steps.attest_deployment import attest_deployment
from pipeline.steps.rollback import restore
from pipeline.steps.verify import recognise
from pipeline.tools import Tools
from pipeline.trust.statements import Deployment

SOMEBODY = "somebody"
"""Who edits by hand: Kubernetes does not tell."""
AGAIN_AFTER = timedelta(minutes=1)
"""Before the same service is mended again: two who fight over it do so once a minute."""
_ALL = 100
_log = logging.getLogger(__name__)


class Mender:
    """Heals or adopts what was changed by hand.

    Parameters
    ----------
    services
        What is watched, by service name.

    """

    def __init__(self, ledger: Ledger, tools: Tools, services: Mapping[str, Plan]) -> None:
        self._ledger = ledger
        self._tools = tools
        self._plans = [plan for plan in services.values() if plan.pods.drift is not Drift.REPORT]
        self._mended: dict[str, datetime] = {}
        self._told: dict[str, str] = {}

    def tick(self) -> None:
        """Look at every service that drifted when it was last observed; one stops no other."""
        for plan in self._plans:
            try:
                self._mend(plan)
            except LaurelError as error:
                self._tell(plan.service, f"what was changed by hand stays for now: {error}")

    def _mend(self, plan: Plan) -> None:
        known = self._ledger.states.get(plan.service)
        if known is None or not known[0].drift or self._busy(plan.service):
            return
        state = self._tools.target.observe(plan.service)
        if not state.drift or state.foreign is not None:
            return
        if plan.pods.drift is Drift.HEAL:
            self._heal(state)
        else:
            self._adopt(plan, state)

    def _busy(self, service: str) -> bool:
        now = self._tools.clock.now()
        if abs(now - self._mended.get(service, now - 2 * AGAIN_AFTER)) < AGAIN_AFTER:
            return True
        return any(each.service == service for each in self._ledger.promotions.open())

    def _heal(self, state: ServiceState) -> None:
        """Put it back as the last promotion left it; a newer one makes this an old order."""
        self._mended[state.name] = self._tools.clock.now()
        if restore(state.name, sequence=state.sequence, target=self._tools.target) is not None:
            self._tell(state.name, f"put back what was changed by hand: {state.drift}")
            self._told.pop(state.name)  # done again, it is told again

    def _adopt(self, plan: Plan, state: ServiceState) -> None:
        """Take over what serves, once it serves everything, and if the trust policy accepts it."""
        stable = state.stable
        if stable is None or stable.percent != _ALL:
            return
        found = recognise(
            stable.image, plan=plan, registry=self._tools.images, policy=self._tools.policy
        )
        if isinstance(found, Refused):
            self._tell(plan.service, f"what was changed by hand is not adopted: {found.reason}")
            return
        before = serving(self._ledger.promotions.of_service(plan.service))
        if found.ref != before:
            self._hold(plan.service, found)  # first: the alias may name another version
        self._tools.target.adopt(plan.service, found)
        if found.ref != before:
            self._record(plan, found, state)
        self._tell(plan.service, f"adopted what was changed by hand: {state.drift}")
        self._told.pop(plan.service)

    def _hold(self, service: str, found: VerifiedImage) -> None:
        """Keep automation away, as from a version that a person promoted by hand."""
        if self._ledger.holds.get(service) is None:
            reason = f"{found.model} was put there by hand"
            self._ledger.holds.set(service, Hold(SOMEBODY, reason, self._tools.clock.now()))

    def _record(self, plan: Plan, found: VerifiedImage, state: ServiceState) -> None:
        """Write it down as a promotion that ended well, so that a rollback finds its way."""
        now = self._tools.clock.now()
        draft = Promotion(
            id=new_id(),
            sequence=0,
            service=plan.service,
            kind=Kind.PROMOTION,
            phase=Phase.SUCCEEDED,
            plan=plan,
            model=found.model,
            trigger=Trigger(TriggerKind.RECONCILER, SOMEBODY, now),
            created_at=now,
            reason=f"{found.model} was put there by hand, and is adopted: {state.drift}",
            image=found.ref,
            previous_image=serving(self._ledger.promotions.of_service(plan.service)),
            artifact_digest=found.artifact_digest,
            lock_digest=found.lock_digest,
            base_digest=found.base_digest,
            key_id=found.key_id,
            started_at=now,
            ended_at=now,
        )
        accepted = self._ledger.promotions.accept(draft)
        attest_deployment(
            found,
            deployment=Deployment(
                plan.service,
                accepted.sequence,
                accepted.kind,
                history=self._ledger.history.head(plan.service),
            ),
            knows=partial(self._ledger.history.was_at, plan.service),
            registry=self._tools.images,
            signer=self._tools.signer,
            policy=self._tools.policy,
        )

    def _tell(self, service: str, what: str) -> None:
        """Say it in the log and to people, once."""
        if self._told.get(service) == what:
            return
        self._told[service] = what
        _log.warning("%s: %s", service, what, extra={"service": service})
        attention(self._ledger, service, what, self._tools.clock.now())
