"""Bases that were read before, by digest and platform; a file that is lost or bad is written anew.

::

    <root>/<hex of digest, platform and format>   one base as JSON
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.adapters.base_reader import BaseImage
from pipeline.domain.oci import Layer
from pipeline.domain.references import Digest
from pipeline.image.blob_file import disk, write_file
from pipeline.image.canonical import LIMIT, canonical, read_texts
from pipeline.image.manifest import descriptor_json, parse_descriptor

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class KnownBase:
    """A base image, and its interpreters by minor version: ``{"3.11": "/usr/bin/python3.11"}``."""

    image: BaseImage
    pythons: dict[str, str]


class KnownBases:
    """A cache folder, private to the user; made where it does not exist."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def find(self, digest: Digest, platform: str) -> KnownBase | None:
        """Recall a base; ``None`` where it was never read, or not in these words."""
        try:
            with self._file(digest, platform).open("rb") as file:
                return _parse(json.loads(file.read(LIMIT)))
        except (OSError, KeyError, TypeError, ValueError, AttributeError):
            return None

    def keep(self, digest: Digest, platform: str, known: KnownBase) -> None:
        """Remember a base."""
        with disk("remember a base", self._root):
            self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        layers = [
            [descriptor_json(one.descriptor), one.diff_id.value] for one in known.image.layers
        ]
        said = {"layers": layers, "env": known.image.env, "pythons": known.pythons}
        write_file(self._file(digest, platform), canonical(said), scratch=self._root)

    def _file(self, digest: Digest, platform: str) -> Path:
        key = canonical([_FORMAT, digest.value, platform])
        return self._root / Digest.of(key).hex


def _parse(said: dict[str, Any]) -> KnownBase:
    layers = tuple(Layer(parse_descriptor(one), Digest(diff_id)) for one, diff_id in said["layers"])
    return KnownBase(BaseImage(layers, read_texts(said["env"])), read_texts(said["pythons"]))
