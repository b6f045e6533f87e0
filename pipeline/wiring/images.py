"""Where images go, and what makes them."""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline.adapters.bases import Bases
from pipeline.adapters.cache_limit import CacheLimit
from pipeline.adapters.docker_builder import DockerBuilder
from pipeline.adapters.host_base import HostBase
from pipeline.adapters.image_base import ImageBase
from pipeline.adapters.layer_builder import LayerBuilder
from pipeline.adapters.layer_store import LayerStore
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.adapters.lock_environments import LockEnvironments
from pipeline.adapters.own_package import own_files
from pipeline.adapters.registries import Registries
from pipeline.adapters.remote_registry import RemoteRegistry
from pipeline.adapters.uv_resolver import UvResolver
from pipeline.distribution.credentials import Credentials as RegistryLogins
from pipeline.distribution.transport import Transport
from pipeline.domain.content import File
from pipeline.ports import ImageBuilder, ImageRegistry, LockResolver
from pipeline.settings import Settings


def open_images(settings: Settings) -> ImageRegistry:
    """Open the image registry; beside a layout, repositories that name a host are there."""
    layout, elsewhere = open_layout(settings), remote(settings)
    return elsewhere if layout is None else Registries(layout, elsewhere)


def open_layout(settings: Settings) -> LayoutRegistry | None:
    """Open the image layout, where images go into one."""
    folder = settings.registry.folder
    return None if folder is None else LayoutRegistry(folder)


def cache_folder(settings: Settings) -> Path:
    """Name the folder of layers and unpacked images that every ledger of this user shares."""
    if settings.worker.cache is not None:
        return settings.worker.cache
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "laurel"


def cache_limit(settings: Settings) -> CacheLimit:
    """Bound the local caches as the settings say."""
    return CacheLimit(cache_folder(settings), settings.worker.cache_limit)


def image_builder(settings: Settings, resolver: LockResolver) -> ImageBuilder:
    """Make what puts images together."""
    store = _layers(settings)
    bases = _bases(settings, store)
    if settings.builder == "docker":
        return DockerBuilder(bases, cache_folder(settings) / "docker")
    return LayerBuilder(bases, LockEnvironments(resolver, store))


def own_image_tools(
    settings: Settings,
) -> tuple[ImageBuilder, Callable[[Path], tuple[File, ...]]]:
    """Lend what makes Laurel's own image: its layers, and this installation as files."""
    store = _layers(settings)
    builder = LayerBuilder(_bases(settings, store), LockEnvironments(UvResolver(), store))
    return builder, partial(own_files, python=Path(sys.executable))


def _layers(settings: Settings) -> LayerStore:
    return LayerStore(cache_folder(settings) / "layers")


def _bases(settings: Settings, store: LayerStore) -> Bases:
    """Make what images stand on; where they go into a layout, foreign bases are fetched there."""
    elsewhere = remote(settings) if settings.registry.folder is not None else None
    return Bases(HostBase(store), ImageBase(cache_folder(settings) / "bases", elsewhere))


def remote(settings: Settings) -> RemoteRegistry:
    """Make what speaks to registries, as the settings trust them."""
    registry = settings.registry
    transport = Transport(
        RegistryLogins(), ca_file=registry.ca_file, plain_http=registry.plain_http
    )
    return RemoteRegistry(transport)
