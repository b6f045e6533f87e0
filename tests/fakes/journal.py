"""A promotion's journal in memory; what is noted must survive JSON, as in the ledger."""

import json
from datetime import datetime
from typing import Any

from pipeline.domain.admission import Admission, Admitted, Frozen, Rules
from pipeline.domain.promotion import Control, Steering
from pipeline.domain.references import Digest
from pipeline.domain.serving import Hold


class FakeJournal:
    """Notes in order, a decision that tests may set, and what was waited for."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.decision: Control | None = None
        self.waits: list[str | None] = []
        self.steered = Steering()
        self.hold: Hold | None = None
        self.answers: list[Admission] = [Admitted()]
        self.asked: list[tuple[Digest, Rules, bool, Frozen | None]] = []

    def note(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, json.loads(json.dumps(data, allow_nan=False))))

    def notes(self, kind: str) -> list[dict[str, Any]]:
        return [data for noted, data in self.events if noted == kind]

    def control(self) -> Control | None:
        return self.decision

    def steering(self) -> Steering:
        return self.steered

    def held(self) -> Hold | None:
        return self.hold

    def enter(
        self, image: Digest, *, rules: Rules, place: bool, frozen: Frozen | None
    ) -> Admission:
        """Give the answers one after the other, and the last one ever after."""
        self.asked.append((image, rules, place, frozen))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def waiting(self, for_: str | None, until: datetime | None = None) -> None:
        del until
        self.waits.append(for_)
