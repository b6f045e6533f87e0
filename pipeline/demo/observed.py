"""What the demo saw of itself, as values: all that its report may speak of."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.demo.data_scientist import Version
from pipeline.demo.traffic import Seen


@dataclass(frozen=True, slots=True)
class Chapter:
    """One request for a version, seen from outside.

    Parameters
    ----------
    title
        What it shows.
    version
        The model version that was asked for.
    promotion, service
        What Laurel's API said of both when the promotion had ended.
    during, after
        What the clients saw from the request until its end was seen, and for a while from then on.
    seconds
        From the request until its end was seen.

    """

    title: str
    version: int
    promotion: dict[str, Any]
    service: dict[str, Any]
    during: Seen
    after: Seen
    seconds: float

    @property
    def image(self) -> str | None:
        """The image by digest, where there is one."""
        image: str | None = self.promotion["image"] or self.promotion["target"]
        return image

    @property
    def serving(self) -> str | None:
        """The revision that Laurel says is stable."""
        stable = self.service["stable"]
        return stable["revision"] if stable else None

    @property
    def percents(self) -> list[int]:
        """The shares of traffic at which the canary was judged."""
        return [look["percent"] for look in self.promotion["canary"] if look["percent"]]


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that was seen.

    Parameters
    ----------
    versions
        What was registered in MLflow.
    chapters
        In order; those not reached are missing.
    verified
        By image, whether ``laurel verify`` accepted it.
    tags
        By model version, the tags that MLflow has on it.

    """

    versions: tuple[Version, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    verified: dict[str, bool] = field(default_factory=dict)
    tags: dict[int, dict[str, str]] = field(default_factory=dict)
