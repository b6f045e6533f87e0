"""``builder: docker``: a Docker Engine executes ``dockerfiles/model.Dockerfile``.

The engine gets everything in one context: no network, no index, no credential. Its layers are read
back and stored by Laurel, so that every registry works, image layouts too, nothing has to be
tagged, and the base's layers stay the very blobs that they are. The configuration is the engine's
without times and history: the same parts give the same image on the same engine.
"""

import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.adapters.docker_context import base_archive, context
from pipeline.adapters.docker_engine import DockerEngines, Engine, FailedBuild
from pipeline.adapters.docker_errors import fault
from pipeline.adapters.docker_saved import saved_layers
from pipeline.adapters.layer_builder import push_image
from pipeline.adapters.pip_wheels import fetch_wheels
from pipeline.domain.evidence import Refused
from pipeline.domain.oci import Base, Layer
from pipeline.domain.recipe import Made, Recipe
from pipeline.domain.references import BaseRef
from pipeline.errors import PermanentError
from pipeline.image.blob_file import disk
from pipeline.image.config import ImageConfig, host_platform
from pipeline.image.tar import tar_stream
from pipeline.ports import BaseImages, ImageRegistry

_ABANDONED = 86400.0  # seconds; no build takes that long
_PACKAGES_REFUSED = 3  # the exit code by which install.py tells that pip said no
_FULL = "No space left on device"
_SHOWN = 300


class DockerBuilder:
    """Implements :class:`pipeline.ports.ImageBuilder` with the engine of ``DOCKER_HOST``.

    Parameters
    ----------
    bases
        Say what images stand on, and put it into the registry.
    scratch
        Where wheels, context and layers lie meanwhile; on an image layout's file system layers are
        linked into it.

    """

    def __init__(self, bases: BaseImages, scratch: Path) -> None:
        self._engines = DockerEngines()
        self._bases = bases
        self._scratch = scratch

    def build(self, recipe: Recipe, *, registry: ImageRegistry) -> Made | Refused:
        """Build with the engine, then store its layers, a configuration and a manifest.

        Whatever happens, the engine keeps only a base that it pulled, as with ``docker build``.
        """
        with self._engines.connected() as engine:
            if not recipe.platform == engine.platform == host_platform():
                return _other_platform(recipe, engine)
            base = self._bases.provide(
                recipe.base,
                recipe.repository,
                platform=recipe.platform,
                python_version=recipe.lock.python_version,
                registry=registry,
            )
            if isinstance(base, Refused):
                return base
            with self._folder() as folder, _named(engine) as name:
                build = _Build(recipe, base, engine, name, registry)
                image = build.image(folder)
                return image if isinstance(image, Refused) else build.stored(image, folder)

    @contextmanager
    def _folder(self) -> Iterator[Path]:
        with disk("build with Docker", self._scratch):
            self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
            for left in self._scratch.iterdir():
                if time.time() - left.stat().st_mtime > _ABANDONED:
                    shutil.rmtree(left, ignore_errors=True)
            folder = Path(tempfile.mkdtemp(dir=self._scratch))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _named(engine: Engine) -> Iterator[str]:
    """Name one build; everything that bears the name is removed at the end, whatever that is."""
    name = uuid.uuid4().hex
    try:
        yield name
    except BaseException:
        with suppress(Exception):  # what went wrong first is what has to be told
            engine.remove_build(name)
        raise
    engine.remove_build(name)


@dataclass(frozen=True, slots=True)
class _Build:
    """One build by one engine."""

    recipe: Recipe
    base: Base
    engine: Engine
    name: str
    registry: ImageRegistry

    def image(self, folder: Path) -> str | Refused:
        """Build, and tell the image's id in the engine."""
        recipe, wheels = self.recipe, folder / "wheels"
        wheels.mkdir()
        arguments = {"BASE": self._base(), "BUILD": self.name}
        fetch_wheels(recipe.lock, wheels)
        sent = folder / "context.tar"
        with disk("build with Docker", folder), sent.open("wb") as spooled:
            for chunk in tar_stream(context(recipe, self.base, wheels)):
                spooled.write(chunk)
        shutil.rmtree(wheels)
        labels = recipe.labels(self.base)  # every file of the model was read by now
        with sent.open("rb") as spooled:
            built = self.engine.build(spooled, arguments, labels, recipe.platform)
        sent.unlink()
        return self._ended(built) if isinstance(built, FailedBuild) else built

    def stored(self, image: str, folder: Path) -> Made:
        """Put an image's own layers beside those of its base, and say what it consists of."""
        repository, config = self.recipe.repository, self._config(image)
        own = config.diff_ids[len(self.base.layers) :]
        saved = saved_layers(self.engine.save(image), own, folder)
        pushed = [self.registry.push_file(repository, saved[id_], id_) for id_ in own]
        layers = (*self.base.layers, *map(Layer.plain, pushed))
        ref = push_image(config, layers, repository, self.registry)
        return Made(ref, self.base.digest, config.diff_ids)

    def _base(self) -> str:
        """Have the base in the engine: pulled by its digest, or loaded where nobody has it."""
        if self.recipe.base != "host":
            ref = BaseRef.parse(self.recipe.base)
            self.engine.pull(ref.repository, ref.digest, self.recipe.platform)
            named = f"{ref.repository}@{ref.digest}"
            below = tuple(layer.diff_id for layer in self.base.layers)
            if self.engine.config(named).diff_ids != below:
                hint = f"what it has as {named} is another image: remove that there, then retry"
                raise PermanentError("build with Docker", self.engine.host, hint)
            return named
        image, archive = base_archive(
            self.base, self.name, self.recipe.platform, self.recipe.repository, self.registry
        )
        self.engine.load(archive)
        return image

    def _config(self, image: str) -> ImageConfig:
        """Take over what the Dockerfile says; of the base's, what Laurel's own builder does too."""
        made = self.engine.config(image)
        wanted = {**self.base.env, **self.recipe.env}
        env = {name: value for name, value in made.env.items() if name in wanted}
        return replace(
            made,
            env=env,
            labels=self.recipe.labels(self.base),
            healthcheck=self.recipe.healthcheck,  # a base may have one of its own
        )

    def _ended(self, failed: FailedBuild) -> Refused:
        """Tell a model's packages that do not install on this base from everything else."""
        if failed.code is None:
            raise fault("build with Docker", self.engine.host, failed.message)
        errors = [line for line in failed.output if line.startswith("ERROR:")]
        said = (errors or failed.output or [""])[-1][:_SHOWN]
        if failed.code != _PACKAGES_REFUSED or _FULL in said:
            told = f"{failed.message} ({said}): mend that, then retry"
            raise PermanentError("build with Docker", self.engine.host, told)
        return Refused(
            f"its packages do not install on {self.recipe.base}: {said}: choose a base that they "
            "are made for, or require other versions",
            {"output": "\n".join(failed.output)},
        )


def _other_platform(recipe: Recipe, engine: Engine) -> Refused:
    return Refused(
        f"builder: docker makes images for {engine.platform} here, with packages for "
        f"{host_platform()}, wanted is {recipe.platform}: build on such a machine"
    )
