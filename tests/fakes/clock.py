"""A clock that only moves when somebody sleeps, and tells whoever lives by it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


class FakeClock:
    """Time as data: :meth:`sleep` moves it and calls each of ``passing`` with the seconds."""

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self.slept: list[float] = []
        self.passing: list[Callable[[float], None]] = []

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += timedelta(seconds=seconds)
        for pass_on in self.passing:
            pass_on(seconds)

    @property
    def elapsed(self) -> float:
        """Seconds since the clock was made."""
        return sum(self.slept)
