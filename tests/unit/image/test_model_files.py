"""A model's files: read once, hashed once, and only under names that stay where they belong."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.content import File
from pipeline.domain.evidence import StoredFile
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError
from pipeline.image import model_files
from pipeline.image.model_files import ModelFiles, unfit_listing
from pipeline.image.tar import tar_stream

CONTENTS = {"MLmodel": b"flavors", "data/weights": b"w" * 50, "data/more": b"m" * 60}


class Reads:
    def __init__(self, contents: dict[str, bytes]) -> None:
        self.contents = contents
        self.read: list[str] = []

    def __call__(self, file: StoredFile) -> Iterator[bytes]:
        self.read.append(file.path)
        yield self.contents[file.path]


def listing(contents: dict[str, bytes]) -> tuple[StoredFile, ...]:
    return tuple(StoredFile(path, len(content)) for path, content in contents.items())


def test_small_files_share_a_layer_and_each_large_one_has_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_files, "ALONE", 50)
    reads = Reads(CONTENTS)
    layers = [
        b"".join(tar_stream(layer)) for layer in ModelFiles(listing(CONTENTS), reads).layers()
    ]
    expected = [
        b"".join(tar_stream([File.of(f"mnt/models/{path}", CONTENTS[path])]))
        for path in ("MLmodel", "data/more", "data/weights")
    ]
    assert layers == expected
    assert sorted(reads.read) == sorted(CONTENTS)


def test_a_model_of_large_files_alone_has_no_layer_of_small_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_files, "ALONE", 0)
    assert len(list(ModelFiles(listing(CONTENTS), Reads(CONTENTS)).layers())) == 3


@settings(deadline=None)
@given(st.permutations(list(CONTENTS)))
def test_the_artifact_digest_does_not_depend_on_the_listing_s_order(order: list[str]) -> None:
    files = ModelFiles(listing({path: CONTENTS[path] for path in order}), Reads(CONTENTS))
    for layer in files.layers():
        assert b"".join(tar_stream(layer))
    assert files.digests == {path: Digest.of(content) for path, content in CONTENTS.items()}
    assert files.artifact_digest == Digest.of(
        b'[["MLmodel",7,"%s"],["data/more",60,"%s"],["data/weights",50,"%s"]]'
        % tuple(
            Digest.of(CONTENTS[path]).value.encode()
            for path in ("MLmodel", "data/more", "data/weights")
        )
    )


def test_a_file_that_is_not_as_long_as_listed_breaks_the_layer() -> None:
    files = ModelFiles((StoredFile("MLmodel", 8),), Reads(CONTENTS))
    with pytest.raises(CorruptedError, match=r"\(MLmodel\): it has 7 of 8 bytes"):
        b"".join(tar_stream(files.layers()[0]))


def test_a_file_that_grew_breaks_the_layer_before_it_is_too_long() -> None:
    files = ModelFiles((StoredFile("MLmodel", 6),), Reads(CONTENTS))
    with pytest.raises(CorruptedError, match="more than 6 bytes"):
        b"".join(tar_stream(files.layers()[0]))
    assert files.changed


def test_a_file_that_is_not_what_was_read_before_breaks_the_layer() -> None:
    known = {"MLmodel": Digest.of(b"another").value}
    files = ModelFiles((StoredFile("MLmodel", 7),), Reads(CONTENTS), known)
    with pytest.raises(CorruptedError, match="changed since the model was described"):
        b"".join(tar_stream(files.layers()[0]))


@pytest.mark.parametrize(
    ("paths", "why"),
    [
        (["../x"], "leads out of"),
        (["a/../../x"], "leads out of"),
        (["/etc/passwd"], "leads out of"),
        ([""], "empty part"),
        (["a//b"], "empty part"),
        (["a/./b"], "empty part"),
        (["a/"], "empty part"),
        (["a\nb"], "control characters"),
        (["a\0b"], "control characters"),
        (["a\x7f"], "control characters"),
        (["data/.wh.MLmodel"], "a deletion"),
        (["\udcff"], "no Unicode"),
        (["ü" * 128], "too long"),
        (["a", "a"], "listed twice"),
        (["a", "a-", "a/b"], "as a file and as a folder"),
    ],
)
def test_names_that_no_image_may_hold_are_told(paths: list[str], why: str) -> None:
    said = unfit_listing(StoredFile(path, 0) for path in ["MLmodel", *paths])
    assert said is not None
    assert why in said
    assert "\n" not in said


def test_ordinary_names_are_fit() -> None:
    names = ["MLmodel", "data/model.pkl", "ein Modell (2).pkl", "模型.bin", "a" * 255, ".hidden"]
    assert unfit_listing(StoredFile(name, 0) for name in names) is None
