"""Which events a channel is told of: the topics of an event, and who asked for them."""

from collections.abc import Collection
from dataclasses import dataclass

from pipeline.domain.admission import APPROVAL
from pipeline.domain.chain import Entry
from pipeline.domain.notice import Topic
from pipeline.domain.promotion import Kind, Phase
from pipeline.ledger import Ledger
from pipeline.ledger.story import ENDED, HELD, RELEASED

ATTENTION, STEP_STARTED, LOOK, WAITING = "attention", "step_started", "look", "waiting"
KINDS = (ENDED, HELD, RELEASED, ATTENTION, WAITING)
"""The kinds of events that can be told at all."""
_PUT_BACK = {Phase.FAILED, Phase.ERRORED, Phase.ABORTED}


@dataclass(frozen=True, slots=True)
class Rule:
    """What a channel wants: some topics, of some services; no services are all of them."""

    topics: Collection[Topic]
    services: Collection[str] = ()

    def wants(self, entry: Entry, topics: Collection[Topic]) -> bool:
        """Tell whether an event with these topics is to be told."""
        if self.services and entry.service not in self.services:
            return False
        return any(topic in self.topics for topic in topics)


def topics_of(entry: Entry, ledger: Ledger) -> tuple[Topic, ...]:
    """Name an event's topics, the first of them first of all; none: nobody is told."""
    data = entry.data
    match entry.kind:
        case "ended":
            phase = Phase(data["phase"])
            went_back = data["kind"] == Kind.ROLLBACK and phase is Phase.SUCCEEDED
            if phase in _PUT_BACK and data["kind"] == Kind.PROMOTION:
                went_back = _had_traffic(entry, ledger)
            return (Topic(phase.value), *([Topic.ROLLED_BACK] if went_back else []))
        case "held":
            return (Topic.HELD,)
        case "released":
            return (Topic.RELEASED,)
        case "attention":
            return (Topic.DRIFT if data.get("about") == "drift" else Topic.ATTENTION,)
        case "waiting" if data["for"] == APPROVAL:
            return (Topic.APPROVAL,)
        case _:
            return ()


def _had_traffic(entry: Entry, ledger: Ledger) -> bool:
    """Tell whether a promotion that ended badly took traffic from what served before."""
    if entry.promotion is None or not entry.data["previous_image"]:
        return False
    looks = ledger.events.of(entry.promotion, kind=LOOK)
    begun = ledger.events.of(entry.promotion, kind=STEP_STARTED)
    return any(look.data["percent"] for look in looks) or any(
        step.data["name"] == "complete" for step in begun
    )
