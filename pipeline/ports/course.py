"""The course of a promotion: time, its story, and whether it is still wanted."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from pipeline.domain.evidence import Stopped, Unknown
from pipeline.domain.promotion import Control


class Clock(Protocol):
    """The time of day and the passing of time."""

    def now(self) -> datetime:
        """Tell the time, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Journal(Protocol):
    """What a running promotion notes in the ledger and asks of it."""

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Append an event."""

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """Read this promotion's earlier events of one kind, oldest first."""

    def control(self) -> Control | None:
        """Read the decision that ends this promotion early, if one was made."""

    def waiting(self, for_: str | None, until: datetime | None = None) -> None:
        """Say what the promotion waits for now, ``None`` for nothing; the same again is no news."""


StillWanted = Callable[[], Stopped | Unknown | None]
"""Re-reads the alias: ``None`` while it asks for this promotion, ``Stopped`` when it moved on,
``Unknown`` while MLflow cannot be read (then no percent is raised)."""
