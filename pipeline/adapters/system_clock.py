"""The machine's clock."""

import time
from datetime import UTC, datetime


class SystemClock:
    """Implements :class:`pipeline.ports.Clock`."""

    def now(self) -> datetime:
        """Tell the time, in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)
