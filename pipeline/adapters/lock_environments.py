"""The environment layer: a lock's packages, installed once per machine and kept by lock."""

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from pipeline.adapters.layer_store import LayerStore
from pipeline.domain.evidence import Lock
from pipeline.domain.oci import Layer
from pipeline.image.canonical import canonical
from pipeline.image.tar import tar_stream, tree_entries
from pipeline.ports import ImageRegistry, LockResolver

_PLACE = "opt/laurel/env"
_FORMAT = 1


class LockEnvironments:
    """Implements :class:`pipeline.ports.Environments` with this host's Python and uv.

    Parameters
    ----------
    resolver
        Installs a lock.
    store
        Keeps the layers.

    """

    def __init__(self, resolver: LockResolver, store: LayerStore) -> None:
        self._resolver = resolver
        self._store = store

    def provide(self, lock: Lock, repository: str, *, registry: ImageRegistry) -> Layer:
        """Put the environment into ``repository``, installed only where this machine never did."""

        def make(folder: Path) -> Iterator[bytes]:
            self._resolver.install(lock, folder, python=Path(sys.executable))
            yield from tar_stream(tree_entries(folder, _PLACE))

        return Layer.plain(self._store.provide(_key(lock), make, repository, registry=registry))


def _key(lock: Lock) -> str:
    """Name what the layer's bytes depend on: bytecode and installer besides the lock itself."""
    python = [sys.implementation.cache_tag, sys.version, platform.machine()]
    return canonical(["environment", _FORMAT, lock.digest.value, *python, version("uv")]).decode()
