"""Compressed layers: what they unpack to is bounded, whole, and what their diffID says."""

import gzip
import os
import zlib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.oci import IMAGE_CONFIG, LAYER, LAYER_GZIP, Descriptor, Layer
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError
from pipeline.image.layers import gunzip, layers_of, tar_of
from pipeline.image.manifest import Manifest

A, B = Digest.of(b"a"), Digest.of(b"b")


def cut(content: bytes, at: int) -> Iterator[bytes]:
    for start in range(0, len(content), at):
        yield content[start : start + at]


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4), st.integers(1, 5000))
def test_what_was_compressed_comes_back_however_it_was_cut(parts: list[bytes], at: int) -> None:
    whole = b"".join(gzip.compress(part) for part in parts)  # one gzip of several members
    assert b"".join(gunzip(cut(whole, at))) == b"".join(parts)


@pytest.mark.parametrize("at", [1 << 14, 1 << 30])
def test_much_comes_out_of_little_in_small_pieces(at: int) -> None:
    content = os.urandom(50_000) + bytes(30 << 20)
    pieces = list(gunzip(cut(gzip.compress(content), at)))
    assert b"".join(pieces) == content
    assert max(map(len, pieces)) <= 1 << 20


def test_what_found_no_room_in_one_piece_comes_with_the_next() -> None:
    deflate = zlib.compressobj(9, wbits=31)
    content = bytes((1 << 20) + 100)
    whole = deflate.compress(content) + deflate.flush()
    first = len(whole) - 9  # all but the end of the data and the trailer
    assert b"".join(gunzip([whole[:first], whole[first:]])) == content


def test_a_bomb_is_refused_before_it_has_grown() -> None:
    grown: list[int] = []
    bomb = gzip.compress(bytes(300 << 20))
    with pytest.raises(CorruptedError, match="more than 100 times as many unpacked"):
        grown.extend(map(len, gunzip(cut(bomb, 1 << 16))))
    assert 60 << 20 < sum(grown) < 120 << 20


@pytest.mark.parametrize("after", [b"\0", b"\0" * 512, b"garbage", b"\x1f", b"\x1f\x8b\x08"])
def test_nothing_may_follow_a_gzip(after: bytes) -> None:
    with pytest.raises(CorruptedError, match="unpack a layer"):
        list(gunzip([gzip.compress(b"content") + after]))


@pytest.mark.parametrize("lacking", [1, 8, 20])
def test_a_gzip_that_ends_early_is_refused(lacking: int) -> None:
    with pytest.raises(CorruptedError, match="ends early"):
        list(gunzip([gzip.compress(b"content" * 9)[:-lacking]]))


def test_nothing_is_no_gzip() -> None:
    with pytest.raises(CorruptedError, match="ends early"):
        list(gunzip([]))


@pytest.mark.parametrize("at", [-1, -8])
def test_a_gzip_with_a_wrong_checksum_or_length_is_refused(at: int) -> None:
    content = bytearray(gzip.compress(b"content"))
    content[at] ^= 1
    with pytest.raises(CorruptedError, match="push the image again"):
        list(gunzip([bytes(content)]))


def compressed(content: bytes, diff_id: Digest) -> tuple[Layer, list[bytes]]:
    blob = gzip.compress(content)
    return Layer(Descriptor(LAYER_GZIP, Digest.of(blob), len(blob)), diff_id), [blob]


def test_a_compressed_layer_is_held_against_its_diffid() -> None:
    layer, blob = compressed(b"content", Digest.of(b"content"))
    assert b"".join(tar_of(layer, blob)) == b"content"
    layer, blob = compressed(b"content", Digest.of(b"other"))
    with pytest.raises(CorruptedError, match="not those of this diffID"):
        list(tar_of(layer, blob))


def test_a_plain_layer_is_its_tar() -> None:
    layer = Layer(Descriptor(LAYER, A, 1), A)
    assert b"".join(tar_of(layer, [b"a"])) == b"a"


def manifest(*layers: tuple[str, Digest]) -> Manifest:
    config = Descriptor(IMAGE_CONFIG, A, 1)
    return Manifest(config, tuple(Descriptor(kind, digest, 1) for kind, digest in layers))


def test_layers_are_paired_with_their_diffids() -> None:
    gzipped, plain = layers_of(manifest((LAYER_GZIP, A), (LAYER, B)), (B, B))
    assert (gzipped.descriptor.digest, gzipped.diff_id) == (A, B)
    assert (plain.descriptor.digest, plain.diff_id) == (B, B)


@pytest.mark.parametrize(
    ("layers", "diff_ids"),
    [
        ((), ()),
        (((LAYER, A),), ()),
        (((LAYER, A),), (A, B)),
        (((LAYER, A),), (B,)),
        ((("application/vnd.oci.image.layer.v1.tar+zstd", A),), (A,)),
    ],
)
def test_layers_that_do_not_match_their_diffids_are_refused(
    layers: tuple[tuple[str, Digest], ...], diff_ids: tuple[Digest, ...]
) -> None:
    with pytest.raises(CorruptedError, match="diffIDs do not match"):
        layers_of(manifest(*layers), diff_ids)
