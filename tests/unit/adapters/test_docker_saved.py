"""Layers are found in what ``docker save`` sends, however the engine names and packs them."""

import gzip
from pathlib import Path

import pytest

from pipeline.adapters.docker_saved import saved_layers
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError
from tests.fakes.tars import entry, tar_of_entries

ONE, TWO = b"one layer" * 500, b"another" * 500
WANTED = (Digest.of(ONE), Digest.of(TWO))
OLD = tar_of_entries(
    entry("aa/", kind=b"5"),
    (entry("aa/layer.tar"), ONE),
    (entry("base/layer.tar"), b"of the base"),
    (entry("bb/layer.tar"), TWO),
    entry("cc/layer.tar", kind=b"2", to="../aa/layer.tar"),
    (entry("manifest.json"), b"[]"),
)
LAYOUT = tar_of_entries(
    (entry(f"blobs/sha256/{WANTED[1].hex}"), TWO),
    (entry("blobs/sha256/compressed"), gzip.compress(ONE)),
    (entry("blobs/sha256/empty"), b""),
    (entry("index.json"), b"{}"),
)


@pytest.mark.parametrize("archive", [OLD, LAYOUT], ids=["up to 24", "an image layout"])
def test_every_wanted_layer_is_written_as_its_tar(archive: bytes, tmp_path: Path) -> None:
    chunks = [archive[at : at + 777] for at in range(0, len(archive), 777)]
    saved = saved_layers(chunks, WANTED, tmp_path)
    assert {digest: path.read_bytes() for digest, path in saved.items()} == {
        WANTED[0]: ONE,
        WANTED[1]: TWO,
    }
    assert {*tmp_path.iterdir()} == {*saved.values()}


def test_a_layer_that_lacks_is_named(tmp_path: Path) -> None:
    lacking = Digest.of(b"lacking")
    with pytest.raises(CorruptedError, match=lacking.value):
        saved_layers([OLD], [*WANTED, lacking], tmp_path)


def test_an_archive_that_ends_early_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(CorruptedError, match="no whole tar"):
        saved_layers([OLD[:3000]], WANTED, tmp_path)
