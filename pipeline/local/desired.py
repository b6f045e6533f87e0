"""What a service should serve, and how promotions change that: values only.

``stable`` takes everything that ``canary`` does not; ``warm`` takes nothing and runs on, so that a
rollback waits for no start. Every change names its promotion's sequence; an older one is refused.
"""

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from pipeline.domain.references import ImageRef
from pipeline.domain.serving import Hold
from pipeline.errors import NotFoundError, StaleSequenceError


@dataclass(frozen=True, slots=True)
class Deployed:
    """What one revision runs: an image, with the environment that its service gives it."""

    image: ImageRef
    model_version: int
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Desired:
    """One service as it should be; ``following`` is the number of its next revision.

    ``hold`` stands here so that a Laurel that lost its ledger finds it (interfaces §8.3).
    """

    service: str
    sequence: int = 0
    following: int = 1
    stable: str | None = None
    canary: str | None = None
    percent: int = 0
    warm: str | None = None
    revisions: dict[str, Deployed] = field(default_factory=dict)
    hold: Hold | None = None

    @property
    def traffic(self) -> dict[str, int]:
        """The percentage of each revision that takes any."""
        shares = {self.stable: 100 - self.percent, self.canary: self.percent}
        return {name: share for name, share in shares.items() if name and share}

    def running(self, deployed: Deployed) -> str | None:
        """Name the revision that runs exactly this."""
        return next((name for name, what in self.revisions.items() if what == deployed), None)

    def deploy(self, deployed: Deployed, sequence: int) -> Self:
        """Have a revision of this take 0 %: the one that runs it already, or a new canary."""
        self._admit(sequence)
        name = self.running(deployed)
        if name and name == self.canary:
            return self._with(sequence)
        if name and name == self.stable:
            return self._with(sequence, canary=None, percent=0)
        if name:
            return self._with(sequence, canary=name, percent=0, warm=None)
        name = f"{self.service}-{self.following:05}"
        revisions = {**self.revisions, name: deployed}
        return self._with(
            sequence, canary=name, percent=0, following=self.following + 1, revisions=revisions
        )

    def shift(self, revision: str, percent: int, sequence: int) -> Self:
        """Give the canary this share."""
        self._admit(sequence)
        self._require(revision)
        return (
            self._with(sequence)
            if revision == self.stable
            else self._with(sequence, percent=percent)
        )

    def complete(self, revision: str, sequence: int) -> Self:
        """Give the revision everything; what served before stays warm."""
        self._admit(sequence)
        self._require(revision)
        if revision == self.stable:
            return self._with(sequence)
        return self._with(
            sequence, stable=revision, canary=None, percent=0, warm=self.stable or self.warm
        )

    def restore(self, sequence: int) -> Self:
        """Give stable everything back; the canary goes."""
        self._admit(sequence)
        return self._with(sequence, canary=None, percent=0)

    def held(self, hold: Hold | None) -> Self:
        """Note that the service is held, or no longer; one that never was is left so."""
        return replace(self, hold=hold) if self.sequence else self

    def to_json(self) -> dict[str, Any]:
        """Write the record."""
        return {
            "service": self.service,
            "sequence": self.sequence,
            "following": self.following,
            "stable": self.stable,
            "canary": self.canary,
            "percent": self.percent,
            "warm": self.warm,
            "revisions": {
                name: {
                    "image": str(deployed.image),
                    "model_version": deployed.model_version,
                    "env": deployed.env,
                }
                for name, deployed in self.revisions.items()
            },
            "hold": self.hold and {**asdict(self.hold), "at": self.hold.at.isoformat()},
        }

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Self:
        """Read the record; ``KeyError`` or ``ValueError`` where it is none."""
        revisions = {
            name: Deployed(
                ImageRef.parse(deployed["image"]), deployed["model_version"], deployed["env"]
            )
            for name, deployed in said["revisions"].items()
        }
        held = said.get("hold")  # records of earlier versions have none
        hold = held and Hold(**{**held, "at": datetime.fromisoformat(held["at"])})
        return cls(**{**said, "revisions": revisions, "hold": hold})

    def _admit(self, sequence: int) -> None:
        if sequence < self.sequence:
            raise StaleSequenceError(
                "change traffic",
                f"service {self.service}, sequence {sequence}",
                f"it already carries promotion {self.sequence}: start a new promotion",
            )

    def _require(self, revision: str) -> None:
        if revision not in {self.stable, self.canary}:
            raise NotFoundError(
                "change traffic",
                f"revision {revision}",
                f"service {self.service} does not run it: promote it again",
            )

    def _with(self, sequence: int, **changes: Any) -> Self:  # noqa: ANN401 - replace's own type
        changed = replace(self, sequence=sequence, **changes)
        named = {changed.stable, changed.canary, changed.warm}
        kept = {name: what for name, what in changed.revisions.items() if name in named}
        return replace(changed, revisions=kept)
