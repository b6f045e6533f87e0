"""What a Docker Engine is sent: the Dockerfile with all it copies, and a base that it cannot pull.

Nothing in it says where packages came from, so no index and no credential of one can be in an image
or its history.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path

from pipeline.domain.content import Directory, Entry, File
from pipeline.domain.oci import Base
from pipeline.domain.recipe import Recipe
from pipeline.domain.references import Digest
from pipeline.image.config import ImageConfig
from pipeline.image.tar import tar_stream, tree_entries
from pipeline.ports import ImageRegistry

BUILD_LABEL = "dev.laurel.build"
"""On every image that a build makes on its way, so that all of them are found and removed."""


def context(recipe: Recipe, base: Base, wheels: Path) -> tuple[Entry, ...]:
    """List everything that ``model.Dockerfile`` copies, and itself, completed for this image."""
    given = files("pipeline") / "dockerfiles"
    beginning = (given / "model.Dockerfile").read_text("utf-8")
    dockerfile = beginning.replace('"python3"', json.dumps(base.python)) + _ending(recipe, base)
    return (
        File.of("Dockerfile", dockerfile.encode()),
        File.of("install/install.py", (given / "install.py").read_bytes()),
        File.of("install/requirements.lock", recipe.lock.text.encode()),
        Directory("install/wheels"),
        *tree_entries(wheels, "install/wheels"),
        *_pip("install/library/pip"),
        Directory("model"),
        *(_below("model", file) for layer in recipe.model for file in layer),
        *(_below("serving", file) for file in recipe.serving),
    )


def base_archive(
    base: Base, build: str, platform: str, repository: str, registry: ImageRegistry
) -> tuple[str, Iterator[bytes]]:
    """Make an image of a base as ``docker load`` takes one; its id, and the archive.

    It is this build's alone, so that it is removed without asking who else stands on it.
    """
    config = ImageConfig(
        architecture=platform.partition("/")[2],
        entrypoint=(),
        env=base.env,
        diff_ids=tuple(layer.diff_id for layer in base.layers),
        labels={BUILD_LABEL: build},
        user="",
        working_dir="/",
    ).to_bytes()
    image = Digest.of(config)
    layers = [
        File(
            f"{number}/layer.tar",
            layer.descriptor.size,
            partial(registry.read_blob, repository, layer.descriptor.digest),
        )
        for number, layer in enumerate(base.layers)
    ]
    listed = [{"Config": f"{image.hex}.json", "Layers": [layer.path for layer in layers]}]
    manifest = File.of("manifest.json", json.dumps(listed).encode())
    archive = tar_stream([File.of(f"{image.hex}.json", config), manifest, *layers])
    return image.value, archive


def _ending(recipe: Recipe, base: Base) -> str:
    """Write what belongs to one image; quoted, so that Docker expands nothing in it."""
    said = [f'ENV {name}="{_literally(value)}"' for name, value in sorted(recipe.env.items())]
    said.append(f"WORKDIR {recipe.working_dir}")
    said.append(f"ENTRYPOINT {json.dumps([base.python, recipe.entrypoint])}")
    if recipe.command:
        said.append(f"CMD {json.dumps(recipe.command)}")
    if recipe.healthcheck:
        said.append(f"HEALTHCHECK CMD {json.dumps(recipe.healthcheck)}")
    return "\n".join([*said, ""])


def _literally(value: str) -> str:
    for special in ("\\", '"', "$"):
        value = value.replace(special, f"\\{special}")
    return value


def _below(folder: str, entry: Entry) -> Entry:
    return replace(entry, path=f"{folder}/{entry.path}")


def _pip(at: str) -> Iterator[Entry]:
    """Take pip along as it is installed here, so that a base needs none."""
    for entry in tree_entries(Path(str(files("pip"))), at):
        if "__pycache__" not in entry.path:
            yield entry
