"""Holds every change of the target against what people said, and plans its faults."""

from pipeline.domain.promotion import Kind, Phase, Promotion
from pipeline.errors import UnavailableError
from pipeline.ledger import Ledger
from pipeline.steps.complete import complete
from tests.fakes.serving_target import FakeServingTarget
from tests.fakes.turns import Actor, Turns


class Judge:
    """Who acts is known by whose turn it is; ``wrong`` lists what must not have happened.

    What a promotion asked counts till it sleeps or its process dies; once it has begun to take
    everything, what it asked right before that counts for good. ``agreed`` has the people who
    approved each promotion, ``faults`` whether the next calls of the target fail before or after
    they were carried out.
    """

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.wrong: list[str] = []
        self.faults: list[bool] = []
        self.agreed: dict[str, set[str]] = {}
        self._gates: dict[str, list[str]] = {}
        self._ledger: Ledger | None = None

    def read(self, ledger: Ledger) -> None:
        """Look at the ledger of this life, in which nobody asked anything yet."""
        self._ledger = ledger
        for promotion in list(self._gates):
            self._forget(promotion)

    def slept(self) -> None:
        """Have what was asked before this sleep be asked again."""
        actor = self.turns.now
        if actor is not None:
            self._forget(_carried(actor))

    def fault(self, *, before: bool) -> None:
        """Fail where that is planned: before the change, or after it was made."""
        if self.faults and self.faults[0] is before and self._acting() is not None:
            self.faults.pop(0)
            raise UnavailableError("change the service", "the target", "wait")

    def asked(self, service: str, *, frozen: bool) -> None:
        """Note what stood in the way when a promotion asked whether it may have more."""
        acting = self._acting()
        if acting is None or self._ledger is None or self._takes_everything(acting.id):
            return
        steering = self._ledger.controls.steering(acting.id)
        automatic = acting.trigger.kind.automatic and steering.completed is None
        held = automatic and self._ledger.holds.get(service) is not None
        reasons = {"frozen": frozen, "held": held, "paused": steering.paused is not None}
        self._gates[acting.id] = [reason for reason, stands in reasons.items() if stands]

    def changes(self, service: str, sequence: int, percent: int, target: FakeServingTarget) -> None:
        """Judge a change that is about to be made."""
        acting = self._acting()
        if acting is None or self._ledger is None:
            return  # the keeper puts back what nobody answers for
        history = self._ledger.promotions.of_service(service)
        running = [each.id for each in history if each.phase is Phase.RUNNING]
        if running != [acting.id] or acting.sequence != sequence:
            self.wrong.append(f"{acting.id} acts while {running} run")
        state = target.observe(service)
        has = 0 if state.canary is None else state.canary.percent
        if percent <= has or acting.kind is Kind.ROLLBACK:
            return
        for reason in self._gates.get(acting.id, ["nothing was asked"]):
            self.wrong.append(f"{acting.id} of {service} gets {percent} % though {reason}")
        if len(self.agreed.get(acting.id, ())) < acting.plan.approvals:
            self.wrong.append(f"{acting.id} gets {percent} % and nobody agreed")

    def _forget(self, promotion: str) -> None:
        if promotion in self._gates and not self._takes_everything(promotion):
            del self._gates[promotion]

    def _takes_everything(self, promotion: str) -> bool:
        assert self._ledger is not None
        begun = self._ledger.events.of(promotion, kind="step_started")
        return any(event.data["name"] == complete.__name__ for event in begun)

    def _acting(self) -> Promotion | None:
        actor = self.turns.now
        if actor is None or self._ledger is None:
            return None
        return self._ledger.promotions.get(_carried(actor))


def _carried(actor: Actor) -> str:
    """Name the promotion that a thread carries out, if it is one that does."""
    return actor.name.rpartition(".")[0]
