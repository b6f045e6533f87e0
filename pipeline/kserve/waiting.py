"""Waiting by watch until something holds: no polling, and never for ever."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Protocol, TypeVar, cast

from pipeline.kserve.json_patch import Json
from pipeline.kserve.resources import Resource

T = TypeVar("T")


class Watched(Protocol):
    """Where an object is watched: :class:`pipeline.kserve.cluster.Cluster`."""

    def watch(self, kind: Resource, name: str, *, seconds: float) -> Iterator[Json | None]:
        """Give an object as it is now, then each change."""


def until(
    cluster: Watched,
    kind: Resource,
    name: str,
    look: Callable[[Json | None], T | None],
    *,
    seconds: float,
) -> T | None:
    """Look at an object as it is and after each change, until that has a result; ``None`` if never.

    What ``look`` raises ends the wait, as an edit by somebody else does.
    """
    changes = cluster.watch(kind, name, seconds=seconds)
    # watches are generators: closing one gives its connection back at once
    with closing(cast("_Closing", changes)):
        for seen in changes:
            if (result := look(seen)) is not None:
                return result
    return None


class _Closing(Protocol):
    def close(self) -> None: ...
