"""What Knative makes of an InferenceService, as values: its service, and its revisions."""

from dataclasses import dataclass
from typing import Self

from pipeline.kserve.fields import CONTAINER
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.json_patch import Json
from pipeline.kserve.observed import Condition, conditions

_PASSING = frozenset({"NotOwned", "Deploying", ""})
"""Reasons with which a revision is False for a moment after it was made."""
_ASLEEP = frozenset({"NoTraffic", "Inactive"})


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision at one moment; ``replicas`` are its ready pods, ``wanted`` those it should have.

    ``Ready`` says that its pods were ready once; that they are not any more, only ``replicas`` does
    (testbed.md trap C).
    """

    name: str
    image: str
    ready: Condition
    active: Condition
    replicas: int
    wanted: int

    @classmethod
    def parse(cls, raw: Json) -> Self:
        """Read what the API server gave."""
        status, said = raw.get("status") or {}, conditions(raw)
        return cls(
            name=str(raw.get("metadata", {}).get("name", "")),
            image=_image(raw.get("spec", {})),
            ready=said.get("Ready", Condition()),
            active=said.get("Active", Condition()),
            replicas=int(status.get("actualReplicas") or 0),
            wanted=int(status.get("desiredReplicas") or 0),
        )

    @property
    def failed(self) -> bool:
        """Tell whether Knative gave it up."""
        return self.ready.false and self.ready.reason not in _PASSING

    @property
    def asleep(self) -> bool:
        """Tell whether it was ready and has no pods because nobody asked for any."""
        return self.ready.true and self.active.false and self.active.reason in _ASLEEP

    @property
    def given_up(self) -> bool:
        """Tell whether it never was ready and Knative does not even try any more."""
        return self.failed and self.active.false and self.active.reason in _ASLEEP

    def warm(self, need: int) -> bool:
        """Tell whether it can take traffic at once, with this many pods."""
        return self.ready.true and self.replicas >= need


@dataclass(frozen=True, slots=True)
class KnativeService:
    """The Knative service that KServe keeps.

    ``floating`` is whether its traffic names whatever was ready last, ``split`` whether with 0 %.
    """

    image: str
    floating: bool
    split: bool
    created: str
    ready: str
    reconciled: bool

    @classmethod
    def parse(cls, raw: Json) -> Self:
        """Read what the API server gave."""
        spec, status = raw.get("spec", {}), raw.get("status") or {}
        known = status.get("observedGeneration") == raw.get("metadata", {}).get("generation")
        made = conditions(raw).get("ConfigurationsReady", Condition())
        newest = [one for one in spec.get("traffic") or () if one.get("latestRevision") is True]
        return cls(
            image=_image(spec.get("template", {}).get("spec", {})),
            floating=bool(newest),
            split=any(share.get("percent") == 0 for share in newest),
            created=str(status.get("latestCreatedRevisionName") or ""),
            ready=str(status.get("latestReadyRevisionName") or ""),
            reconciled=known and made.status != "Unknown",
        )

    def made(self, now: InferenceService) -> bool:
        """Tell whether all was made of what an InferenceService asks for."""
        same = self.image == now.image and self.split == (now.percent == 0)
        return self.reconciled and same and self.created == now.created

    def at_rest(self, now: InferenceService) -> bool:
        """Tell whether it is just what an InferenceService without a percent asks for."""
        same = self.image == now.image and not self.split
        return self.reconciled and same and self.created == now.created


def _image(spec: Json) -> str:
    """Read the model container's image."""
    containers = spec.get("containers") or [{}]
    named = (one for one in containers if one.get("name") == CONTAINER)
    return str(next(named, containers[0]).get("image") or "")
