"""Freeze windows by cron (``ports.Freezes``), in the time zone where people go home."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from croniter import croniter

from pipeline.domain.admission import Frozen

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """Begins whenever ``cron`` fires and lasts; no services are all of them."""

    cron: str
    lasts: timedelta
    zone: ZoneInfo
    reason: str
    services: Collection[str] = ()

    def covers(self, at: datetime) -> Frozen | None:
        """Tell whether it covers a moment; it begins with its minute and ends before its end."""
        # croniter looks strictly back from whole seconds, so a start at this very second counts
        after = (at.astimezone(self.zone) + _SECOND).replace(microsecond=0)
        started: datetime = croniter(self.cron, after).get_prev(datetime)
        until = started.astimezone(UTC) + self.lasts
        return Frozen(until, self.reason) if at < until else None


class CronFreezes:
    """The windows of laurel.yaml."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self._windows = tuple(windows)

    def frozen(self, service: str, at: datetime) -> Frozen | None:
        """Tell whether a service is frozen at a moment; of several windows, the last to end."""
        covering = [
            frozen
            for window in self._windows
            if (not window.services or service in window.services)
            and (frozen := window.covers(at)) is not None
        ]
        return max(covering, key=lambda frozen: frozen.until, default=None)
