"""Freezes that a test begins and ends."""

from datetime import datetime

from pipeline.domain.admission import Frozen


class FakeFreezes:
    """Implements :class:`pipeline.ports.Freezes`; ``window`` is set by tests."""

    def __init__(self) -> None:
        self.window: Frozen | None = None

    def frozen(self, service: str, at: datetime) -> Frozen | None:
        assert service
        window = self.window
        return window if window is not None and at < window.until else None
