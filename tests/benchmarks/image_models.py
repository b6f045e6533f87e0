"""Models of any size: a folder as MLflow logs it, most of it weights; other bytes each round."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.image.tar import file_chunks, tar_stream, tree_entries

_BLOCK = 16 << 20  # bytes of weights drawn at a time
_FROM_END = 64 << 10  # in a ready layer this is among the weights, which come last
_MLMODEL = """\
artifact_path: model
flavors:
  python_function:
    loader_module: weights
    python_version: 3.11.7
mlflow_version: 3.17.2
"""


@dataclass(frozen=True)
class Model:
    """A folder with ``MLmodel``, ``requirements.txt`` and one file of float32 weights."""

    folder: Path

    @property
    def weights(self) -> Path:
        """The file that is nearly all of it."""
        return self.folder / "weights.bin"

    def grow(self, size: int) -> None:
        """Draw weights until there are ``size`` bytes of them."""
        generator = np.random.default_rng()
        with self.weights.open("ab") as file:
            while (left := size - file.tell()) > 0:
                drawn = generator.standard_normal(_BLOCK // 4, dtype=np.float32)
                file.write((drawn * np.float32(0.02)).tobytes()[:left])

    def freshen(self) -> None:
        """Change it so that nobody has seen it before, with all of it in the page cache.

        What others left for the disk to write is written first: it is not this round's.
        """
        with self.weights.open("r+b") as file:
            file.write(os.urandom(32))
        for _ in file_chunks(self.weights):
            pass
        os.sync()


@dataclass(frozen=True)
class Blob:
    """A ready layer in a file."""

    file: Path

    def freshen(self) -> str:
        """Change it like a model, and tell its digest; then it is in the page cache."""
        with self.file.open("r+b") as file:
            file.seek(-_FROM_END, os.SEEK_END)
            file.write(os.urandom(32))
        with self.file.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def make_model(folder: Path, size: int) -> Model:
    """Make a model with ``size`` bytes of weights: normal float32, which hardly compress."""
    folder.mkdir(parents=True)
    (folder / "MLmodel").write_text(_MLMODEL)
    (folder / "requirements.txt").write_text("mlflow==3.17.2\n")
    model = Model(folder)
    model.weights.touch()
    model.grow(size)
    return model


def ready_blob(model: Model, file: Path) -> Blob:
    """Write the model as the layer that ``curl`` gets ready-made."""
    with file.open("wb") as blob:
        for chunk in tar_stream(tree_entries(model.folder, "mnt/models")):
            blob.write(chunk)
    return Blob(file)
