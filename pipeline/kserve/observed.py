"""What KServe's and Knative's objects have alike: conditions, a split, and shapes nobody warrants.

Whatever is missing or has another shape reads as absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.kserve.json_patch import Json


@dataclass(frozen=True, slots=True)
class Share:
    """One entry of the observed traffic."""

    revision: str
    percent: int
    tag: str = ""
    url: str = ""
    latest: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; ``status`` is ``True``, ``False`` or ``Unknown``, also where it is absent."""

    status: str = "Unknown"
    reason: str = ""
    message: str = ""

    @property
    def true(self) -> bool:
        """Tell whether it holds."""
        return self.status == "True"

    @property
    def false(self) -> bool:
        """Tell whether it is known not to hold."""
        return self.status == "False"

    @property
    def said(self) -> str:
        """Give reason and message in one; either may be missing."""
        return ": ".join(filter(None, (self.reason, self.message)))


def conditions(raw: Mapping[str, Any]) -> dict[str, Condition]:
    """Read an object's conditions by their types."""
    return {
        str(entry.get("type")): Condition(
            str(entry.get("status") or "Unknown"),
            str(entry.get("reason") or ""),
            str(entry.get("message") or ""),
        )
        for entry in entries(raw, "status", "conditions")
    }


def share_of(entry: Json) -> Share:
    """Read one entry of a split."""
    percent = entry.get("percent")
    return Share(
        str(entry.get("revisionName") or ""),
        percent if isinstance(percent, int) else 0,
        str(entry.get("tag") or ""),
        str(entry.get("url") or ""),
        entry.get("latestRevision") is True,
    )


def mapping(raw: Mapping[str, Any], *path: str) -> Json:
    """Find an object in an object; an empty one where it is missing or of another shape."""
    found: Any = raw
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def entries(raw: Mapping[str, Any], *path: str) -> list[Json]:
    """Find a list of objects likewise; what is no object in it is left out."""
    found = mapping(raw, *path[:-1]).get(path[-1])
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
