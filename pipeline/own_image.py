"""Laurel's own image, made by Laurel's own layers: ``python -m pipeline.own_image`` (make image).

This machine's Python, the packages of ``dockerfiles/laurel.lock``, and Laurel itself. It runs as a
user without a name, on a read-only root; what it keeps is below ``/data``, its working folder. It
goes into ``build/images``, or to the registry of ``LAUREL_REGISTRY``.
"""

import os
import sys
import tempfile
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from pipeline import wiring
from pipeline.domain.content import Directory, File
from pipeline.domain.evidence import Lock, Refused
from pipeline.domain.oci import IMAGE_MANIFEST, Base
from pipeline.domain.recipe import Recipe
from pipeline.domain.references import Digest, ImageRef
from pipeline.errors import ConfigurationError, LaurelError, NotFoundError
from pipeline.image.config import host_platform
from pipeline.settings import Settings
from pipeline.settings.sections import LAYOUT, RegistrySettings

DATA = "/data"
_PLACE = "opt/laurel"
_COMMAND = ("up", "--host", "0.0.0.0")  # noqa: S104 - its own address in its own network
_ENV = {
    "HOME": DATA,
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONPATH": "/opt/laurel/env",
    "XDG_CACHE_HOME": f"{DATA}/cache",
}
"""``HOME`` is where docker's configuration is looked for, with the credentials of registries."""


def make_image(settings: Settings) -> ImageRef:
    """Build the image and give it its version as tag."""
    builder, own_files = wiring.own_image_tools(settings)
    registry = wiring.open_images(settings)
    with tempfile.TemporaryDirectory() as folder:
        recipe = _recipe(settings, own_files(Path(folder)))
        made = builder.build(recipe, registry=registry)
    if isinstance(made, Refused):
        raise ConfigurationError(made.reason)
    content = registry.manifest(recipe.repository, made.ref.digest.value)
    if content is None:
        raise NotFoundError("tag the image", str(made.ref), "its manifest is gone: make it again")
    registry.push_manifest(recipe.repository, content, IMAGE_MANIFEST, tag=version("laurel"))
    return made.ref


def _recipe(settings: Settings, own: tuple[File, ...]) -> Recipe:
    given = files("pipeline") / "dockerfiles"
    text = (given / "laurel.lock").read_text("utf-8")
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Recipe(
        repository=settings.registry.repository("laurel"),
        base="host",
        platform=host_platform(),
        lock=Lock(text, Digest.of(text.encode()), "laurel", here),
        model=(own,),
        serving=(
            File.of(f"{_PLACE}/laurel", (given / "laurel.py").read_bytes(), executable=True),
            File.of(f"{_PLACE}/healthy", (given / "healthy.py").read_bytes(), executable=True),
            Directory(DATA.lstrip("/"), 0o1777),  # a volume that is new takes its mode over
        ),
        env=_ENV,
        entrypoint=f"/{_PLACE}/laurel",
        labels=_labels,
        working_dir=DATA,
        command=_COMMAND,
        healthcheck=("python3", f"/{_PLACE}/healthy"),
    )


def _labels(base: Base) -> dict[str, str]:
    return {
        "org.opencontainers.image.title": "laurel",
        "org.opencontainers.image.version": version("laurel"),
        "org.opencontainers.image.base.name": "host",
        "org.opencontainers.image.base.digest": base.digest.value,
        "org.opencontainers.image.licenses": "Apache-2.0",
    }


def main() -> None:
    """Make the image and print where it is, by digest."""
    location = os.environ.get("LAUREL_REGISTRY") or f"{LAYOUT}{Path('build/images').absolute()}"
    try:
        made = make_image(Settings(registry=RegistrySettings(location=location)))
    except LaurelError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{made}\n")


if __name__ == "__main__":
    main()
