"""``base:`` by digest: the layers of somebody else's image, as they are, below Laurel's own.

What a base consists of is decided by its digest, so it is remembered: later builds ask nobody for
it, and only what is not in the image's repository is mounted or copied there.
"""

from pathlib import Path

from pipeline.adapters.base_reader import BaseImage, BaseReader
from pipeline.adapters.known_bases import KnownBase, KnownBases
from pipeline.domain.evidence import Refused
from pipeline.domain.oci import Base
from pipeline.domain.references import BaseRef
from pipeline.image.file_names import FileNames
from pipeline.image.layers import tar_of
from pipeline.ports import ImageRegistry
from pipeline.transfer import copy_blob

_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # engines' where unsaid


class ImageBase:
    """Implements :class:`pipeline.ports.BaseImages` for images by digest; that is the base's.

    Parameters
    ----------
    cache
        Remembers bases; losing it costs time.
    elsewhere
        Reads the registries that bases come from, where images go into a layout: what that does
        not have by the name as written comes from there. ``None`` where images go into a registry,
        whose client reaches every other.

    """

    def __init__(self, cache: Path, elsewhere: ImageRegistry | None) -> None:
        self._known = KnownBases(cache)
        self._elsewhere = elsewhere

    def provide(
        self,
        base: str,
        repository: str,
        *,
        platform: str,
        python_version: str,
        registry: ImageRegistry,
    ) -> Base | Refused:
        """Put the base's layers into ``repository``."""
        ref = BaseRef.parse(base)
        known = self._known.find(ref.digest, platform)
        source, sources = self._source(ref, registry)
        image = (
            known.image if known else BaseReader(ref, source, sources or registry).read(platform)
        )
        if isinstance(image, Refused):
            return image
        for layer in image.layers:
            copy_blob(layer.descriptor, source, repository, registry=registry, sources=sources)
        if known is None:
            known = KnownBase(image, _pythons(image, repository, registry))
            self._known.keep(ref.digest, platform, known)
        python = known.pythons.get(python_version)
        if python is None:
            return _without(ref, python_version, known.pythons)
        return Base(ref.digest, image.layers, python, _env(image))

    def _source(self, ref: BaseRef, registry: ImageRegistry) -> tuple[str, ImageRegistry | None]:
        if self._elsewhere is None:
            return ref.repository, None
        if registry.manifest(ref.name, ref.digest.value) is not None:
            return ref.name, None
        return ref.repository, self._elsewhere


def _pythons(image: BaseImage, repository: str, registry: ImageRegistry) -> dict[str, str]:
    names = FileNames()
    for layer in image.layers:
        names.apply(tar_of(layer, registry.read_blob(repository, layer.descriptor.digest)))
    return names.pythons(_env(image)["PATH"])


def _without(ref: BaseRef, python_version: str, pythons: dict[str, str]) -> Refused:
    has = f"it has {', '.join(sorted(pythons))}" if pythons else "it has none"
    return Refused(
        f"base {ref} has no python{python_version} on its PATH, {has}: choose a base with "
        f"Python {python_version}",
        {"pythons": sorted(pythons)},
    )


def _env(image: BaseImage) -> dict[str, str]:
    """Take over the base's variables, ``PATH`` first of all; Knative's and Laurel's are not its."""
    kept = {name: value for name, value in image.env.items() if not _reserved(name)}
    return {"PATH": _SEARCH, **kept}


def _reserved(name: str) -> bool:
    return name == "PORT" or name.startswith(("K_", "LAUREL_"))
