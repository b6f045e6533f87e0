"""The installed Laurel as files of an image: beside its packages, compiled as they are."""

import shutil
from collections.abc import Iterator
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path

import uv

from pipeline.adapters.uv_environment import IN_IMAGE, compile_bytecode
from pipeline.domain.content import File
from pipeline.image.tar import tree_entries

_PACKAGES = ("pipeline", "webhook_service")
_NOT_ITS_OWN = shutil.ignore_patterns("__pycache__", "*.pyc")


def own_files(folder: Path, python: Path) -> tuple[File, ...]:
    """Copy the packages into ``folder``, compile them there, and name the files for an image.

    uv's program comes along: it lies in ``bin``, which environments of models go without.
    """
    for package in _PACKAGES:
        shutil.copytree(Path(str(files(package))), folder / package, ignore=_NOT_ITS_OWN)
    laurel = distribution("laurel")
    described = folder / f"laurel-{laurel.version}.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(laurel.read_text("METADATA") or "", "utf-8")
    compile_bytecode(folder, python)
    (folder / "bin").mkdir()
    shutil.copy(uv.find_uv_bin(), folder / "bin" / "uv")
    return tuple(_only_files(folder))


def _only_files(folder: Path) -> Iterator[File]:
    for entry in tree_entries(folder, IN_IMAGE.lstrip("/")):
        if isinstance(entry, File):
            yield entry
