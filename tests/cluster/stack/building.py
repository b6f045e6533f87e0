"""Everything that a cluster needs, built or rendered once."""

import shutil
from collections.abc import Iterable

from tests.cluster.stack import manifests
from tests.cluster.stack.binaries import build, workshop
from tests.cluster.stack.binaries import lacking as lacking_units
from tests.cluster.stack.place import cache_folder
from tests.cluster.stack.units import CONTROL_PLANE, UNITS, Unit
from tests.servers.go_tools import DISTRIBUTION, alone, built, say


def lacking(units: Iterable[Unit] = UNITS) -> list[str]:
    """Name what nobody has built yet."""
    return [*lacking_units(units), *(["manifests"] if manifests.lacking() else [])]


def build_control_plane() -> None:
    """Build what tier A runs."""
    _build(CONTROL_PLANE)


def build_everything() -> None:
    """Build what is not there yet; what Go needed for that is removed again.

    That is ten times as large as the result, and the next change of a version needs other parts.
    """
    _build(UNITS)
    built(DISTRIBUTION)
    shutil.rmtree(workshop(), ignore_errors=True)


def _build(units: tuple[Unit, ...]) -> None:
    if not lacking(units):
        return
    cache_folder().mkdir(parents=True, exist_ok=True)
    with alone(cache_folder() / "build.lock"):  # a second builder waits for the first
        build(units)
        if manifests.lacking():
            say("rendering the manifests of Knative Serving and KServe")
            manifests.render()
