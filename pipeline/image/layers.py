"""Layers as stored and as tars: paired with their diffIDs, decompressed within bounds, checked."""

import hashlib
import zlib
from collections.abc import Iterable, Iterator

from pipeline.domain.oci import LAYER, LAYER_GZIP, Layer
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError
from pipeline.image.manifest import Manifest
from pipeline.image.tar import CHUNK

_GZIP = 31  # zlib: a gzip header and trailer, and the largest window
_RATIO, _FREE = 100, 64 << 20  # what a layer may grow by: files compress 3 to 10 times
_ATTEMPTED = "unpack a layer"


def layers_of(manifest: Manifest, diff_ids: tuple[Digest, ...]) -> tuple[Layer, ...]:
    """Pair an image's layers with their diffIDs; ``CorruptedError`` where they do not match."""
    layers = tuple(map(Layer, manifest.layers, diff_ids))
    same_number = len(manifest.layers) == len(diff_ids) > 0
    if not same_number or not all(map(_plausible, layers)):
        raise CorruptedError(
            "read an image", "its layers", "they and its diffIDs do not match: build it again"
        )
    return layers


def _plausible(layer: Layer) -> bool:
    if layer.descriptor.media_type == LAYER:
        return layer.descriptor.digest == layer.diff_id
    return layer.descriptor.media_type == LAYER_GZIP


def tar_of(layer: Layer, blob: Iterable[bytes]) -> Iterable[bytes]:
    """Turn a layer's blob, checked by whoever reads it, into its tar, checked against its diffID.

    Both checks happen at the end of the stream: whoever uses it reads that far.
    """
    if layer.descriptor.media_type == LAYER:
        return blob
    return _checked(gunzip(blob), layer.diff_id)


def gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress gzip, of several members too, in pieces of at most 1 MiB.

    Raises
    ------
    CorruptedError
        Where it is no gzip, ends early, is followed by something else, or grows a hundredfold.

    """
    inflate, read, made = zlib.decompressobj(_GZIP), 0, 0
    for chunk in chunks:
        read += len(chunk)
        rest = chunk
        while rest:
            if inflate.eof:
                inflate = zlib.decompressobj(_GZIP)
            piece = _inflated(inflate, rest)
            made += len(piece)
            if made > _FREE + _RATIO * read:
                raise CorruptedError(
                    _ATTEMPTED,
                    f"{read} bytes of gzip",
                    f"they are more than {_RATIO} times as many unpacked: choose another base",
                )
            yield piece
            rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
    if not inflate.eof:
        raise CorruptedError(_ATTEMPTED, "its gzip", "it ends early: push the image again")


def _inflated(inflate: "zlib._Decompress", part: bytes) -> bytes:
    try:
        return inflate.decompress(part, CHUNK)
    except zlib.error as error:
        raise CorruptedError(_ATTEMPTED, "its gzip", f"{error}: push the image again") from error


def _checked(chunks: Iterator[bytes], diff_id: Digest) -> Iterator[bytes]:
    seen = hashlib.sha256()
    for chunk in chunks:
        seen.update(chunk)
        yield chunk
    if seen.hexdigest() != diff_id.hex:
        raise CorruptedError(
            _ATTEMPTED, diff_id.value, "its bytes are not those of this diffID: build it again"
        )
