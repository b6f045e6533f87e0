"""The course of a promotion: time, its story, and whether it is still wanted."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from pipeline.domain.admission import Admission, Frozen, Rules
from pipeline.domain.evidence import Stopped, Unknown
from pipeline.domain.promotion import Control, Steering
from pipeline.domain.references import Digest
from pipeline.domain.serving import Hold


class Clock(Protocol):
    """The time of day and the passing of time."""

    def now(self) -> datetime:
        """Tell the time, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Freezes(Protocol):
    """The windows in which nothing is to change by itself."""

    def frozen(self, service: str, at: datetime) -> Frozen | None:
        """Tell whether a service is frozen at a moment, and until when."""


class Journal(Protocol):
    """What a running promotion notes in the ledger and asks of it."""

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Append an event."""

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """Read this promotion's earlier events of one kind, oldest first."""

    def control(self) -> Control | None:
        """Read the decision that ends this promotion early, if one was made."""

    def steering(self) -> Steering:
        """Read how people steer this promotion now."""

    def held(self) -> Hold | None:
        """Read the hold that keeps this promotion from more traffic, if one does."""

    def enter(
        self, image: Digest, *, rules: Rules, place: bool, frozen: Frozen | None
    ) -> Admission:
        """Ask to be let into traffic with this image, with a canary's place if there is need of it.

        Once let in, it stays so: a crash loses neither place nor word.
        """

    def waiting(self, for_: str | None, until: datetime | None = None) -> None:
        """Say what the promotion waits for now, ``None`` for nothing; the same again is no news."""


StillWanted = Callable[[], Stopped | Unknown | None]
"""Re-reads the alias: ``None`` while it asks for this promotion, ``Stopped`` when it moved on,
``Unknown`` while MLflow cannot be read (then no percent is raised)."""
