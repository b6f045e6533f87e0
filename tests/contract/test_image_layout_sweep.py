"""What a layout holds and nothing names goes, and nothing that somebody relies on, ever."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.content import Content
from pipeline.domain.oci import IMAGE_INDEX, IMAGE_MANIFEST, Descriptor
from pipeline.domain.references import Digest, ImageRef
from pipeline.domain.serving import Blob
from pipeline.errors import CorruptedError
from pipeline.image.canonical import LIMIT, canonical
from pipeline.image.layout_sweep import Swept
from pipeline.image.manifest import index_bytes
from tests.fakes.baked_image import bake

LONG_AGO = 1_000_000_000
HERE, THERE = "ml/fraud", "ml/other"


@pytest.fixture
def layout(tmp_path: Path) -> LayoutRegistry:
    return LayoutRegistry(tmp_path / "images")


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    return tmp_path / "images" / "blobs" / "sha256"


def age(blobs: Path) -> None:
    """Let everything be old."""
    for path in blobs.iterdir():
        with suppress(FileNotFoundError):  # a sweep is at work
            os.utime(path, (LONG_AGO, LONG_AGO))


def image(layout: LayoutRegistry, repository: str = HERE, *more: bytes) -> ImageRef:
    return bake(layout, repository=repository, layers=(b"base", *more)).built.ref


def there(blobs: Path, content: bytes) -> bool:
    return (blobs / Digest.of(content).hex).exists()


def test_what_only_a_deleted_image_named_goes_and_what_others_name_stays(
    layout: LayoutRegistry, blobs: Path
) -> None:
    gone, kept = image(layout, HERE, b"one"), image(layout, THERE, b"two")
    layout.delete(gone.repository, gone.digest)
    age(blobs)
    swept = layout.sweep()
    assert (swept.blobs, there(blobs, b"one")) == (3, False)  # manifest, configuration, layer
    assert swept.size > len(b"one")
    assert there(blobs, b"base")
    assert there(blobs, b"two")
    assert layout.manifest(THERE, kept.digest.value) is not None
    assert layout.sweep() == Swept()


def test_what_is_younger_than_a_day_stays(layout: LayoutRegistry, blobs: Path) -> None:
    layout.push_blob(HERE, Content.of(b"of an image that is being built"))
    assert layout.sweep() == Swept()
    assert layout.sweep(older_than=-1).blobs == 1
    assert list(blobs.iterdir()) == []


@pytest.mark.parametrize("how", ["asked for", "pushed", "streamed", "mounted"])
def test_an_old_blob_that_somebody_finds_is_young_again(
    layout: LayoutRegistry, blobs: Path, how: str
) -> None:
    found = layout.push_blob(HERE, Content.of(b"found"))
    age(blobs)
    finders: dict[str, Callable[[], Blob | None]] = {
        "asked for": lambda: layout.blob(THERE, found.digest),
        "pushed": lambda: layout.push_blob(THERE, Content.of(b"found")),
        "streamed": lambda: layout.push_blob(THERE, Content(lambda: (b"found",), 5)),
        "mounted": lambda: layout.mount(THERE, found.digest, HERE),
    }
    assert finders[how]() == found
    assert layout.sweep() == Swept()
    assert there(blobs, b"found")


def test_a_file_that_was_cached_long_ago_comes_young(
    layout: LayoutRegistry, blobs: Path, tmp_path: Path
) -> None:
    cached = tmp_path / "cached"
    cached.write_bytes(b"cached")
    os.utime(cached, (LONG_AGO, LONG_AGO))
    layout.push_file(HERE, cached, Digest.of(b"cached"))
    assert layout.sweep() == Swept()
    assert (blobs / Digest.of(b"cached").hex).stat().st_nlink == 2


def test_a_blob_that_is_found_while_it_is_moved_aside_is_put_back(
    layout: LayoutRegistry, blobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.push_blob(HERE, Content.of(b"found late"))
    age(blobs)
    rename = Path.rename

    def found_meanwhile(path: Path, target: Path) -> Path:
        if path.parent == blobs:
            os.utime(path)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", found_meanwhile)
    assert layout.sweep() == Swept()
    assert there(blobs, b"found late")


def test_a_blob_that_another_sweep_took_first_is_no_fault(
    layout: LayoutRegistry, blobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout.push_blob(HERE, Content.of(b"taken"))
    age(blobs)
    rename = Path.rename

    def taken_before(path: Path, target: Path) -> Path:
        path.unlink()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", taken_before)
    assert layout.sweep() == Swept()


def test_images_of_other_tools_keep_all_that_their_indexes_name(
    layout: LayoutRegistry, blobs: Path
) -> None:
    inner = image(layout, HERE, b"for one platform")
    layout.delete(inner.repository, inner.digest)
    listed = Descriptor(IMAGE_MANIFEST, inner.digest, 1)
    absent = Descriptor(IMAGE_MANIFEST, Digest.of(b"for a platform that was left out"), 1)
    index = index_bytes((listed, absent, listed))
    layout.push_manifest(HERE, index, IMAGE_INDEX, tag="every-platform")
    age(blobs)
    assert layout.sweep() == Swept()
    assert there(blobs, b"for one platform")


def test_a_digest_counts_wherever_it_stands_and_however_it_is_spelt(
    layout: LayoutRegistry, blobs: Path
) -> None:
    for content in (b"in an annotation", b"as a key", b"escaped"):
        layout.push_blob(HERE, Content.of(content))
    annotation, key, escaped = (
        Digest.of(content).value for content in (b"in an annotation", b"as a key", b"escaped")
    )
    foreign = canonical({"a": [{"b": annotation}], "manifests": "ESCAPED", key: "sha256:no digest"})
    foreign = foreign.replace(b"ESCAPED", b"\\u0073ha256:" + escaped[7:].encode())
    layout.push_manifest(HERE, foreign, "application/vnd.foreign+json")
    age(blobs)
    assert layout.sweep() == Swept()


@pytest.mark.parametrize("damage", ["no JSON", "too large", "a folder"])
def test_while_a_manifest_cannot_be_read_nothing_goes(
    layout: LayoutRegistry, blobs: Path, damage: str
) -> None:
    layout.push_blob(HERE, Content.of(b"nothing names it"))
    digest = layout.push_manifest(HERE, b"{}", "application/vnd.foreign+json")
    path = blobs / digest.hex
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    else:
        path.write_bytes(b"not JSON" if damage == "no JSON" else b" " * (LIMIT + 1))
    age(blobs)
    with pytest.raises(CorruptedError):
        layout.sweep()
    assert there(blobs, b"nothing names it")


def test_a_blob_that_may_only_be_read_is_found_all_the_same(
    layout: LayoutRegistry, blobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = layout.push_blob(HERE, Content.of(b"somebody else's"))
    age(blobs)

    def forbidden(*_asked: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", forbidden)
    assert layout.blob(HERE, found.digest) == found
    assert layout.push_blob(HERE, Content(lambda: (b"somebody else's",), 15)) == found


def test_manifests_are_listed_with_their_age(layout: LayoutRegistry, blobs: Path) -> None:
    first, second = image(layout, HERE, b"one"), image(layout, HERE, b"two")
    image(layout, THERE)
    age(blobs)
    layout.push_manifest(HERE, manifest_of(layout, second), IMAGE_MANIFEST, tag="again")
    (blobs / Digest.of(b"one").hex).unlink()
    stored = layout.stored(HERE)
    assert set(stored) == {first.digest, second.digest}
    assert stored[first.digest].timestamp() == LONG_AGO < stored[second.digest].timestamp()
    (blobs / first.digest.hex).unlink()
    assert set(layout.stored(HERE)) == {second.digest}


def manifest_of(layout: LayoutRegistry, ref: ImageRef) -> bytes:
    content = layout.manifest(ref.repository, ref.digest.value)
    assert content is not None
    return content


def test_what_is_pushed_while_others_sweep_arrives_whole(tmp_path: Path, blobs: Path) -> None:
    stop, swept = threading.Event(), [0]

    def sweep() -> None:
        layout = LayoutRegistry(tmp_path / "images")
        while not stop.is_set():
            swept[0] += layout.sweep(older_than=3600).blobs

    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    layout = LayoutRegistry(tmp_path / "images")
    for sweeper in sweepers:
        sweeper.start()
    try:
        for number in range(60):
            made = image(layout, HERE, b"shared", b"%d" % (number % 2))
            for content in (b"base", b"shared", b"%d" % (number % 2)):
                assert there(blobs, content), number
            layout.delete(HERE, made.digest)
            age(blobs)
    finally:
        stop.set()
        for sweeper in sweepers:
            sweeper.join()
    assert swept[0] > 0
