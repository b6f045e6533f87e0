"""How traffic moves to a new version, and how that is judged."""

from typing import Annotated

from pydantic import Field, model_validator

from pipeline.domain.plan import NoData
from pipeline.settings.fields import Seconds, Section


class CanarySettings(Section):
    """How traffic moves to a new version."""

    steps: tuple[Annotated[int, Field(ge=1, le=99)], ...] = (10, 25, 50)
    """Rising percentages of traffic."""
    interval: Seconds = 60.0
    """How long each step lasts at least."""
    min_samples: int = Field(default=200, ge=1)
    """Requests the canary must have answered in each step."""
    no_data: NoData = NoData.HOLD
    """What happens where there were fewer: ``hold``, ``fail`` or ``pass``."""
    deadline: Seconds = 86400.0
    """How long one step may last at most."""
    look_every: Seconds = 5.0
    """How often request counts are judged."""

    @model_validator(mode="after")
    def _rising(self) -> "CanarySettings":
        if list(self.steps) != sorted(set(self.steps)):
            raise ValueError(f"steps {list(self.steps)} must rise")
        return self


class ErrorLimit(Section):
    """How many more requests may fail."""

    max_increase: float = Field(default=0.01, gt=0, lt=1)
    """Share of requests above stable's."""


class SlowLimit(Section):
    """How many more requests may be slow."""

    above: float = Field(default=1.3, gt=1)
    """A request is slow above this many times stable's p95."""
    max_increase: float = Field(default=0.05, gt=0, lt=1)
    """Share of requests above stable's."""


class AnalysisSettings(Section):
    """How the canary is judged."""

    errors: ErrorLimit = ErrorLimit()
    """Failed requests: 5xx, timeouts, refused connections."""
    slow: SlowLimit = SlowLimit()
    """Slow requests."""
    confidence: float = Field(default=0.99, gt=0.5, lt=1)
    """1 - alpha, over all metrics and looks of one canary."""
