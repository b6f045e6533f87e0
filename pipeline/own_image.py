"""Laurel's own image, made by Laurel's own layers: ``python -m pipeline.own_image`` (make image).

This machine's Python, the packages of ``dockerfiles/laurel.lock``, and Laurel itself. It runs as a
user without a name, on a read-only root; what it keeps is below ``/data``, its working folder. It
goes into ``build/images``, or to the registry of ``LAUREL_REGISTRY``; with ``LAUREL_CONFIG`` it
goes where that laurel.yaml sends images, and is signed with its key, as models' images are.
"""

import os
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
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
from pipeline.inspection import inspect
from pipeline.settings import Settings
from pipeline.settings.load import load_settings
from pipeline.settings.sections import LAYOUT, RegistrySettings
from pipeline.trust.attest import attest
from pipeline.trust.own_provenance import OwnProvenance
from pipeline.trust.statements import signature_statement

DATA = "/data"
_PLACE = "opt/laurel"
_VERSION = "org.opencontainers.image.version"
_BASE = "org.opencontainers.image.base.digest"
_LOCK = "dev.laurel.lock.digest"
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


def sign_image(settings: Settings, image: ImageRef) -> None:
    """Attach cosign's signature and SLSA provenance; what is attached already is left alone."""
    registry = wiring.open_images(settings)
    config = inspect(image, registry=registry).config
    said = OwnProvenance(
        laurel_version=config.labels[_VERSION],
        repository=image.repository,
        platform=f"linux/{config.architecture}",
        builder_id=settings.signing.builder,
        base_digest=Digest(config.labels[_BASE]),
        lock_digest=Digest(config.labels[_LOCK]),
    )
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    attesting = partial(
        attest,
        image,
        registry=registry,
        signer=wiring.signer(settings),
        policy=wiring.trust_policy(settings),
    )
    attesting(said.statement(image.digest, now), same=said.said_in)
    attesting(signature_statement(image.digest))


def _recipe(settings: Settings, own: tuple[File, ...]) -> Recipe:
    given = files("pipeline") / "dockerfiles"
    text = (given / "laurel.lock").read_text("utf-8")
    lock = Digest.of(text.encode())
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Recipe(
        repository=settings.registry.repository("laurel"),
        base="host",
        platform=host_platform(),
        lock=Lock(text, lock, "laurel", here),
        model=(own,),
        serving=(
            File.of(f"{_PLACE}/laurel", (given / "laurel.py").read_bytes(), executable=True),
            File.of(f"{_PLACE}/healthy", (given / "healthy.py").read_bytes(), executable=True),
            Directory(DATA.lstrip("/"), 0o1777),  # a volume that is new takes its mode over
        ),
        env=_ENV,
        entrypoint=f"/{_PLACE}/laurel",
        labels=partial(_labels, lock),
        working_dir=DATA,
        command=_COMMAND,
        healthcheck=("python3", f"/{_PLACE}/healthy"),
    )


def _labels(lock: Digest, base: Base) -> dict[str, str]:
    return {
        "org.opencontainers.image.title": "laurel",
        _VERSION: version("laurel"),
        "org.opencontainers.image.base.name": "host",
        _BASE: base.digest.value,
        _LOCK: lock.value,
        "org.opencontainers.image.licenses": "Apache-2.0",
    }


def main() -> None:
    """Make the image and print where it is, by digest."""
    try:
        settings = _settings(os.environ)
        made = make_image(settings)
        if os.environ.get("LAUREL_CONFIG"):
            sign_image(settings, made)
        else:
            sys.stderr.write("not signed: LAUREL_CONFIG names no laurel.yaml with a key\n")
    except LaurelError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{made}\n")


def _settings(environment: Mapping[str, str]) -> Settings:
    if config := environment.get("LAUREL_CONFIG"):
        return load_settings(Path(config), environment)
    location = environment.get("LAUREL_REGISTRY") or f"{LAYOUT}{Path('build/images').absolute()}"
    return Settings(registry=RegistrySettings(location=location))


if __name__ == "__main__":
    main()
