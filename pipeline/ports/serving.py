"""Where images serve, and what their requests are counted by."""

from collections.abc import Iterable
from typing import Protocol

from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.serving import Hold, Readiness, RequestTotals, ServiceState


class ServingTarget(Protocol):
    """What an image is deployed to; every call may be repeated, an older sequence is refused."""

    def platforms(self, service: str) -> frozenset[str]:
        """Name the platforms whose images can run there: ``{"linux/amd64"}``."""

    def objection(self, plan: Plan) -> str | None:
        """Say in a clause, with the fix, why this service cannot be rolled out there at all.

        Asked before anything is built or changed, and it changes nothing: rights, mode, settings.
        """

    def observe(self, service: str) -> ServiceState:
        """Read what serves now."""

    def deploy(
        self, plan: Plan, image: VerifiedImage, sequence: int, *, at_once: bool = False
    ) -> str:
        """Start a revision of this image at 0 %, or find the one that already runs; its name.

        ``at_once``: it will take everything without steps, as what served before does.
        """

    def differences(self, plan: Plan, image: VerifiedImage) -> tuple[str, ...]:
        """List what ``deploy`` would change of a service that somebody else made, a line each."""

    def readiness(self, service: str, revision: str, *, wait: float = 0.0) -> tuple[Readiness, str]:
        """Tell whether a revision can take traffic, and why not: its own last words included.

        It answers as soon as the revision can, or never will, and after ``wait`` seconds at most.
        """

    def trouble(self, service: str, revision: str) -> str:
        """Say what befell a revision that had traffic: its own last words; ``""`` if nothing."""

    def ask(self, service: str, revision: str, body: bytes) -> tuple[int, bytes]:
        """POST ``body`` to a revision's ``/invocations``, whatever its share of the traffic is.

        Returns the status and at most 64 KiB of the answer.
        """

    def shift(self, service: str, revision: str, percent: int, sequence: int) -> None:
        """Give the canary this share, and return when it was observed."""

    def complete(self, service: str, revision: str, sequence: int) -> None:
        """Give the revision everything; what served before stays warm for a rollback."""

    def restore(self, service: str, sequence: int) -> None:
        """Give stable everything back and remove the canary, and whatever was changed by hand."""

    def hold(self, service: str, hold: Hold | None) -> None:
        """Write on the service that it is held, or no longer; a service not there is left so."""

    def adopt(self, service: str, image: VerifiedImage) -> None:
        """Take this image, which somebody put there by hand, for what should be stable.

        ``ConflictError`` where another one is there by now.
        """

    def keep(self) -> None:
        """Bring what serves in line with what was asked; called at start and every two seconds."""


class Metrics(Protocol):
    """Request counters per revision."""

    def read(self, service: str, revisions: Iterable[str]) -> dict[str, dict[str, RequestTotals]]:
        """Read ``{revision: {series: totals}}``; ``UnavailableError`` where nobody answers."""
