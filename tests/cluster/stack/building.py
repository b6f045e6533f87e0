"""Everything that a cluster needs, built or rendered once."""

import shutil
from collections.abc import Iterable

from tests.cluster.stack import manifests
from tests.cluster.stack.binaries import build, workshop
from tests.cluster.stack.binaries import lacking as lacking_units
from tests.cluster.stack.place import cache_folder
from tests.cluster.stack.units import CONTROL_PLANE, UNITS, Unit
from tests.cluster.stack.versions import PACKAGES
from tests.servers.debian_packages import unpacked
from tests.servers.go_tools import DISTRIBUTION, alone, built, say


def lacking(units: Iterable[Unit] = UNITS) -> list[str]:
    """Name what nobody has built yet."""
    return [*lacking_units(units), *(["manifests"] if manifests.lacking() else [])]


def build_control_plane() -> None:
    """Build what tier A runs."""
    _build(CONTROL_PLANE)


def build_everything() -> None:
    """Build or fetch what is not there yet."""
    _build(UNITS)
    built(DISTRIBUTION)
    unpacked(*PACKAGES)


def _build(units: tuple[Unit, ...]) -> None:
    """Build, and remove again what Go needed for that: it is ten times as large as the result.

    The next change of a version would need little of it.
    """
    if not lacking(units):
        return
    cache_folder().mkdir(parents=True, exist_ok=True)
    with alone(cache_folder() / "build.lock"):  # a second builder waits for the first
        build(units)
        if manifests.lacking():
            say("rendering the manifests of Knative Serving and KServe")
            manifests.render()
        shutil.rmtree(workshop(), ignore_errors=True)
