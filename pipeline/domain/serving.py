"""What a serving target says of a service: revisions, traffic, holds, request counts."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.domain.references import Digest, ImageRef


class Readiness(StrEnum):
    """Whether a revision can take traffic; ``FAILED`` will not become ready by waiting."""

    READY = "ready"
    STARTING = "starting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of a service as the target observes it; ``percent`` is of the traffic."""

    name: str
    image: ImageRef
    percent: int
    readiness: Readiness
    model_version: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """Automation may not change this service until the alias names another version (§8.10).

    ``alias_version`` is what it named when the hold was set: ``None`` till that was read, 0 where
    it named nothing.
    """

    actor: str
    reason: str
    at: datetime
    alias_version: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service as observed: never as desired.

    ``sequence`` is the highest that any promotion wrote on it, ``hold`` the one that stands there;
    ``foreign`` names what it serves where that is no image of Laurel's, and ``drift`` is a sentence
    about what somebody changed by hand since Laurel last wrote it, with the next step.
    """

    name: str
    url: str
    sequence: int = 0
    stable: Revision | None = None
    canary: Revision | None = None
    foreign: str | None = None
    hold: Hold | None = None
    drift: str = ""

    def serves(self, image: ImageRef) -> bool:
        """Tell whether this image is the stable one."""
        return self.stable is not None and self.stable.image == image


def is_failure(status: str) -> bool:
    """Tell whether an answer counts as failed: by its code, ``503``, or its class, ``5xx``, ``5``.

    What never reached the model counts too, for its proxies answer 502, 503 or 504 then; a 4xx is
    the caller's mistake.
    """
    return status.startswith("5")


@dataclass(frozen=True, slots=True)
class RequestTotals:
    """Counters of one series (one pod, one Envoy cluster) since that series began.

    ``buckets`` maps a latency bucket's upper edge in milliseconds to the cumulative count of
    requests that took at most so long, the last edge being infinity; ``completed`` counts every
    answered or failed request.
    """

    completed: int = 0
    failed: int = 0
    buckets: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that a registry holds: their digest and size."""

    digest: Digest
    size: int
