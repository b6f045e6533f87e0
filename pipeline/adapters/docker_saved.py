"""The layers of an image as ``docker save`` streams them, whatever the engine's version.

Engines up to 24 name them ``<id>/layer.tar``, later ones are an image layout; those that keep
images in containerd have them compressed. A layer is told by its diffID, so names do not matter.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, cast

from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError
from pipeline.image.blob_file import disk
from pipeline.image.layers import gunzip
from pipeline.image.tar import CHUNK
from pipeline.image.untar import members, reading

_GZIP = b"\x1f\x8b"


def saved_layers(
    stream: Iterable[bytes], wanted: Iterable[Digest], folder: Path
) -> dict[Digest, Path]:
    """Write the wanted layers into ``folder``, uncompressed; ``CorruptedError`` if one lacks."""
    left, kept = set(wanted), {}
    with disk("read an image back from Docker", folder), reading(stream, "docker save") as archive:
        for number, member in enumerate(members(archive)):
            if not member.isreg():
                continue
            path = folder / f"{number}.tar"
            digest = _spool(cast("IO[bytes]", archive.extractfile(member)), path)
            if digest in left:
                left.remove(digest)
                kept[digest] = path
            else:
                path.unlink()
    if left:
        hint = f"layer {min(left)} is not among what the engine sent: retry"
        raise CorruptedError("read an image back from Docker", "docker save", hint)
    return kept


def _spool(member: IO[bytes], path: Path) -> Digest:
    seen = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in _plain(iter(lambda: member.read(CHUNK), b"")):
            seen.update(chunk)
            file.write(chunk)
    return Digest(f"sha256:{seen.hexdigest()}")


def _plain(chunks: Iterator[bytes]) -> Iterator[bytes]:
    first = next(chunks, b"")
    whole = itertools.chain([first], chunks)
    return gunzip(whole) if first.startswith(_GZIP) else whole
