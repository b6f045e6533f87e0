"""What an image is to consist of, whoever puts it together: Laurel's own layers or Docker."""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.domain.content import Entry, File
from pipeline.domain.evidence import Lock
from pipeline.domain.oci import Base
from pipeline.domain.references import Digest, ImageRef


@dataclass(frozen=True, slots=True)
class Recipe:
    """The parts of one image, base first.

    Parameters
    ----------
    repository
        Where the image goes.
    base, platform
        What it stands on, as the service names it, and for which machines (``linux/amd64``).
    lock
        The packages of its environment.
    model
        The model's files, one tuple for each layer; their paths are those inside the image.
    serving
        What starts the runtime.
    env
        Variables beside those of the base.
    entrypoint
        What the base's interpreter runs.
    labels
        What the image says of itself, given its base. Asked when every file of the model was read,
        because their digest is among it.
    working_dir, command, healthcheck
        Where the entrypoint starts, what it gets where nobody says otherwise, and what tells
        whether it is well.

    """

    repository: str
    base: str
    platform: str
    lock: Lock
    model: tuple[tuple[File, ...], ...]
    serving: tuple[Entry, ...]
    env: dict[str, str]
    entrypoint: str
    labels: Callable[[Base], dict[str, str]]
    working_dir: str = "/tmp"  # noqa: S108 - in the image: the one place it may write
    command: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """An image that was put together: where it is, on what it stands, its diffIDs base first."""

    ref: ImageRef
    base_digest: Digest
    layers: tuple[Digest, ...]
