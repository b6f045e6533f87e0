"""What ``services[].base`` may name: this host, or an image by its digest."""

from pipeline.domain.evidence import Refused
from pipeline.domain.oci import Base
from pipeline.ports import BaseImages, ImageRegistry


class Bases:
    """Implements :class:`pipeline.ports.BaseImages` by asking the one that knows the base.

    Parameters
    ----------
    host
        Provides ``host``.
    images
        Provide every other base.

    """

    def __init__(self, host: BaseImages, images: BaseImages) -> None:
        self._host = host
        self._images = images

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
        which = self._host if base == "host" else self._images
        return which.provide(
            base,
            repository,
            platform=platform,
            python_version=python_version,
            registry=registry,
        )
