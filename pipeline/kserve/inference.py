"""An InferenceService as a value: what it says, what was observed of it, what Laurel wrote on it.

Parsed once from the API server's JSON; whatever is missing or has another shape reads as absent.
``metadata.generation`` and ``status.observedGeneration`` are read by nobody: the latter is that of
the Knative service below (kserve.md trap 5).
"""

from dataclasses import dataclass, field
from typing import Self

from pipeline.kserve.annotations import (
    CANARY,
    CANARY_MODEL,
    DIGEST,
    HOLD,
    MADE,
    MODEL,
    PERCENT,
    SEQUENCE,
    UNDO,
    shielded,
)
from pipeline.kserve.json_patch import Json
from pipeline.kserve.observed import Condition, Share, conditions, entries, mapping, share_of
from pipeline.kserve.spec import image_of

_STOP = "serving.kserve.io/stop"
LEFT_ALONE = "serving.kserve.io/disable-auto-update"
"""What has KServe do nothing about an InferenceService that is ready, also where it was patched."""
_ALL = 100


@dataclass(frozen=True, slots=True)
class InferenceService:
    """One InferenceService at one moment.

    Parameters
    ----------
    raw
        The object as it was read.
    shielded
        Whether Laurel's annotations may change without a new revision.
    image
        The image asked for, ``""`` where KServe chooses one.
    percent
        ``canaryTrafficPercent``, ``None`` where it is not set.
    created, ready, rolled_out, previous
        Names of Knative's revisions as KServe keeps them, ``""`` where it knows none.
    traffic
        The observed split: written before the gateway has it, so :attr:`routed` must hold too.

    """

    name: str
    raw: Json
    annotations: dict[str, str]
    shielded: bool
    image: str
    percent: int | None
    min_replicas: int
    created: str
    ready: str
    rolled_out: str
    previous: str
    traffic: tuple[Share, ...]
    url: str
    mode: str
    conditions: dict[str, Condition] = field(default_factory=dict)

    @classmethod
    def parse(cls, raw: Json) -> Self:
        """Read what the API server gave."""
        metadata, status = mapping(raw, "metadata"), mapping(raw, "status")
        predictor = mapping(raw, "spec", "predictor")
        seen = mapping(status, "components", "predictor")
        percent = predictor.get("canaryTrafficPercent")
        least = predictor.get("minReplicas")
        return cls(
            name=str(metadata.get("name", "")),
            raw=raw,
            annotations={
                key: str(value) for key, value in mapping(metadata, "annotations").items()
            },
            shielded=shielded(raw),
            image=image_of(raw) or "",
            percent=percent if isinstance(percent, int) else None,
            min_replicas=least if isinstance(least, int) else 1,
            created=str(seen.get("latestCreatedRevision") or ""),
            ready=str(seen.get("latestReadyRevision") or ""),
            rolled_out=str(seen.get("latestRolledoutRevision") or ""),
            previous=str(seen.get("previousRolledoutRevision") or ""),
            traffic=tuple(share_of(entry) for entry in entries(seen, "traffic")),
            url=str(status.get("url") or seen.get("url") or ""),
            mode=str(status.get("deploymentMode") or ""),
            conditions=conditions(raw),
        )

    @property
    def sequence(self) -> int:
        """The highest that any promotion wrote; 0 where none did."""
        said = self.annotations.get(SEQUENCE, "")
        return int(said) if said.isascii() and said.isdigit() else 0

    @property
    def digest(self) -> str:
        """What should be stable: ``repository@sha256:…``, ``""`` where Laurel left none."""
        return self.annotations.get(DIGEST, "")

    @property
    def canary(self) -> str:
        """The canary in flight, likewise."""
        return self.annotations.get(CANARY, "")

    @property
    def model(self) -> str:
        """``name/version`` of what should be stable."""
        return self.annotations.get(MODEL, "")

    @property
    def canary_model(self) -> str:
        """``name/version`` of the canary in flight."""
        return self.annotations.get(CANARY_MODEL, "")

    @property
    def given(self) -> int | None:
        """The share that Laurel gave the canary last; ``None`` where it gave none."""
        said = self.annotations.get(PERCENT, "")
        return int(said) if said.isascii() and said.isdigit() else None

    @property
    def hold(self) -> str:
        """The hold as it is noted; ``""`` without one."""
        return self.annotations.get(HOLD, "")

    @property
    def ours(self) -> bool:
        """Tell whether Laurel ever wrote here."""
        return SEQUENCE in self.annotations

    @property
    def taken(self) -> bool:
        """Tell whether what it serves is Laurel's, or was before a canary that is in flight."""
        return bool(self.digest or self.canary) or MADE in self.annotations

    @property
    def first(self) -> bool:
        """Tell whether Laurel made it, and nothing was ever stable here."""
        return MADE in self.annotations and not self.digest

    @property
    def undoable(self) -> bool:
        """Tell whether what the change in flight replaced is noted."""
        return UNDO in self.annotations

    @property
    def leaving(self) -> bool:
        """Tell whether it is being deleted."""
        return "deletionTimestamp" in self.raw.get("metadata", {})

    @property
    def clean(self) -> bool:
        """Tell whether no change is noted or visible: what is asked for is what is stable."""
        noted = {CANARY, CANARY_MODEL, PERCENT, UNDO} & self.annotations.keys()
        return self.percent is None and not noted

    @property
    def stopped(self) -> bool:
        """Tell whether somebody asked KServe to remove all that runs (trap 6)."""
        return self.annotations.get(_STOP, "").lower() == "true"

    @property
    def left_alone(self) -> bool:
        """Tell whether somebody asked KServe to leave it as it is, which it does while it is ready.

        Just this word, unlike with :attr:`stopped`.
        """
        return self.annotations.get(LEFT_ALONE) == "true" and self.condition("Ready").true

    @property
    def routed(self) -> bool:
        """Tell whether the gateway has the split that :attr:`traffic` shows."""
        return self.condition("PredictorRouteReady").true

    @property
    def need(self) -> int:
        """How many pods must be ready before a revision takes traffic."""
        return max(self.min_replicas, 1)

    @property
    def settled(self) -> bool:
        """Tell whether one revision is the latest in every sense: nothing is under way."""
        return bool(self.created) and self.created == self.ready == self.rolled_out

    def condition(self, name: str) -> Condition:
        """Read a condition; one that is absent is unknown."""
        return self.conditions.get(name, Condition())

    def shares(self) -> dict[str, int]:
        """Add the observed traffic up by revision."""
        total: dict[str, int] = {}
        for share in self.traffic:
            total[share.revision] = total.get(share.revision, 0) + share.percent
        return total

    def serves_alone(self, revision: str) -> bool:
        """Tell whether the gateway gives this revision everything."""
        return self.routed and self.shares().get(revision, 0) == _ALL

    def splits(self, stable: str, canary: str, percent: int) -> bool:
        """Tell whether the gateway splits just so: the percent too, never the condition alone."""
        shares = self.shares()
        return (
            self.routed
            and shares.get(canary, 0) == percent
            and shares.get(stable, 0) == _ALL - percent
        )

    def address(self, revision: str) -> str:
        """Name a URL that reaches this revision whatever its share is; ``""`` where none does."""
        tagged = (share.url for share in self.traffic if share.revision == revision and share.url)
        return next(tagged, self.url if self.shares().get(revision, 0) == _ALL else "")

    def writer(self, *path: str) -> str:
        """Name who wrote a field last and when, as the API server remembers it; ``""`` if not."""
        parent, key = [f"f:{part}" for part in path[:-1]], f"f:{path[-1]}"
        wrote = [
            (str(entry.get("time", ""))[:40], str(entry.get("manager", ""))[:80])
            for entry in entries(self.raw, "metadata", "managedFields")
            if key in mapping(entry, "fieldsV1", *parent)
        ]
        at, who = max(wrote, default=("", ""))
        return f"{who}, {at}" if who else ""
