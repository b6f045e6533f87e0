import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.content import Content
from pipeline.domain.oci import IMAGE_CONFIG, IMAGE_MANIFEST, LAYER, LAYER_GZIP, Descriptor
from pipeline.domain.references import Digest, ImageRef
from pipeline.errors import CorruptedError, NotFoundError, PermanentError
from pipeline.image.config import ImageConfig
from pipeline.image.manifest import Manifest, parse_manifest
from pipeline.local.rootfs import RootfsCache, chain_ids
from tests.fakes.tars import entry, tar_of_entries

A, B, C = (Digest.of(letter) for letter in (b"a", b"b", b"c"))


def tar(**files: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("__", "/"))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content.encode()))
    return stream.getvalue()


@pytest.fixture
def registry(tmp_path: Path) -> LayoutRegistry:
    return LayoutRegistry(tmp_path / "images")


@pytest.fixture
def cache(tmp_path: Path, registry: LayoutRegistry) -> RootfsCache:
    return RootfsCache(tmp_path / "unpacked", registry)


def push(registry: LayoutRegistry, *layers: bytes, diff_ids: int | None = None) -> ImageRef:
    blobs = [registry.push_blob("fraud", Content.of(layer)) for layer in layers]
    named = tuple(blob.digest for blob in blobs)[:diff_ids]
    config = registry.push_blob(
        "fraud", Content.of(ImageConfig("amd64", ("/serve",), {}, named).to_bytes())
    )
    manifest = Manifest(
        Descriptor(IMAGE_CONFIG, config.digest, config.size),
        tuple(Descriptor(LAYER, blob.digest, blob.size) for blob in blobs),
    )
    return ImageRef("fraud", registry.push_manifest("fraud", manifest.to_bytes(), IMAGE_MANIFEST))


def test_chain_ids_are_those_of_the_image_specification() -> None:
    below = Digest.of(f"{A} {B}".encode())
    assert chain_ids((A, B, C)) == (A, below, Digest.of(f"{below} {C}".encode()))
    assert chain_ids(()) == ()


def test_layers_lie_on_each_other_and_mount_points_are_there(
    cache: RootfsCache, registry: LayoutRegistry
) -> None:
    image = push(registry, tar(a="below", b="below"), tar(b="above", **{".wh.a": ""}))
    rootfs = cache.provide(image)
    assert sorted(path.name for path in rootfs.path.iterdir()) == ["b", "dev", "proc", "tmp"]
    assert (rootfs.path / "b").read_text() == "above"
    assert rootfs.config.entrypoint == ("/serve",)
    assert rootfs.path.stat().st_mode & 0o777 == 0o755


def test_an_image_is_unpacked_once(
    cache: RootfsCache, registry: LayoutRegistry, tmp_path: Path
) -> None:
    layer = tar(a="a")
    image = push(registry, layer)
    first = cache.provide(image)
    (tmp_path / "images" / "blobs" / "sha256" / Digest.of(layer).hex).unlink()
    assert cache.provide(image) == first


def test_images_share_the_large_layers_they_stand_on(
    cache: RootfsCache, registry: LayoutRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.local.rootfs._WORTH_KEEPING", 0)
    environment = tar(opt__env__numpy="numpy", opt__env__changed="before")
    first = cache.provide(push(registry, environment, tar(model="1", opt__env__changed="1")))
    second = cache.provide(push(registry, environment, tar(model="2", opt__env__changed="2")))
    shared = [(each.path / "opt/env/numpy").stat().st_ino for each in (first, second)]
    assert shared[0] == shared[1]
    assert (first.path / "opt/env/changed").read_text() == "1"
    assert (second.path / "opt/env/changed").read_text() == "2"
    third = cache.provide(push(registry, environment))
    assert (third.path / "opt/env/changed").read_text() == "before"


def test_links_stay_links(cache: RootfsCache, registry: LayoutRegistry) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        link = tarfile.TarInfo("lib")
        link.type, link.linkname = tarfile.SYMTYPE, "usr/lib"
        archive.addfile(link)
    big = tar(big="x" * (17 << 20))
    rootfs = cache.provide(push(registry, stream.getvalue(), big, tar(a="a")))
    assert (rootfs.path / "lib").readlink() == Path("usr/lib")


def test_corrupted_bytes_are_never_used_and_leave_nothing(
    cache: RootfsCache, registry: LayoutRegistry, tmp_path: Path
) -> None:
    layer = tar(a="good")
    image = push(registry, layer)
    blob = tmp_path / "images" / "blobs" / "sha256" / Digest.of(layer).hex
    blob.chmod(0o600)
    blob.write_bytes(tar(a="evil"))
    with pytest.raises(CorruptedError):
        cache.provide(image)
    assert list((tmp_path / "unpacked" / "trees").iterdir()) == []
    blob.write_bytes(layer)
    assert (cache.provide(image).path / "a").read_text() == "good"


@pytest.mark.parametrize("number", [0, 1], ids=["configuration", "layer"])
def test_a_registry_that_sends_without_end_is_left_where_the_manifest_ends(
    registry: LayoutRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    image = push(registry, tar(a="a"))
    manifest = parse_manifest(registry.manifest("fraud", image.digest.value) or b"")
    blob = (manifest.config, *manifest.layers)[number]
    read, given = registry.read_blob, 0

    def endless(repository: str, digest: Digest) -> Iterator[bytes]:
        nonlocal given
        yield from read(repository, digest)
        while digest == blob.digest:
            given += 1
            assert given < 3
            yield bytes(1 << 10)

    monkeypatch.setattr(registry, "read_blob", endless)
    with pytest.raises(CorruptedError, match=f"more than {blob.size}"):
        RootfsCache(tmp_path / "unpacked", registry).provide(image)


def push_compressed(
    registry: LayoutRegistry, layer: bytes, diff_id: Digest, blob: bytes | None = None
) -> ImageRef:
    compressed = registry.push_blob("fraud", Content.of(blob or gzip.compress(layer)))
    config = registry.push_blob(
        "fraud", Content.of(ImageConfig("amd64", ("/serve",), {}, (diff_id,)).to_bytes())
    )
    manifest = Manifest(
        Descriptor(IMAGE_CONFIG, config.digest, config.size),
        (Descriptor(LAYER_GZIP, compressed.digest, compressed.size),),
    )
    return ImageRef("fraud", registry.push_manifest("fraud", manifest.to_bytes(), IMAGE_MANIFEST))


def test_a_compressed_layer_gives_the_tree_of_its_tar(
    cache: RootfsCache, registry: LayoutRegistry
) -> None:
    layer = tar(a="a")
    compressed = cache.provide(push_compressed(registry, layer, Digest.of(layer)))
    assert (compressed.path / "a").read_text() == "a"
    assert cache.provide(push(registry, layer)).path == compressed.path


@pytest.mark.parametrize("blob", [None, b"no gzip", gzip.compress(b"no tar", mtime=0)])
def test_a_compressed_layer_of_other_bytes_than_its_diffid_leaves_nothing(
    cache: RootfsCache, registry: LayoutRegistry, tmp_path: Path, blob: bytes | None
) -> None:
    image = push_compressed(registry, tar(a="evil"), Digest.of(tar(a="good")), blob)
    with pytest.raises(CorruptedError, match="unpack a layer"):
        cache.provide(image)
    assert list((tmp_path / "unpacked" / "trees").iterdir()) == []
    assert (cache.provide(push(registry, tar(a="good"))).path / "a").read_text() == "good"


def test_mount_points_are_folders_whatever_the_image_has_there(
    cache: RootfsCache, registry: LayoutRegistry, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    hostile = tar_of_entries(
        entry("dev", tarfile.SYMTYPE, str(tmp_path / "outside")),
        entry("proc"),
        entry("tmp", tarfile.DIRTYPE, mode=0o1777),
    )
    rootfs = cache.provide(push(registry, hostile))
    assert all((rootfs.path / name).is_dir() for name in ("dev", "proc", "tmp"))
    assert not (rootfs.path / "dev").is_symlink()
    assert (rootfs.path / "tmp").stat().st_mode & 0o7777 == 0o1777


def test_a_missing_image_is_told(cache: RootfsCache) -> None:
    with pytest.raises(NotFoundError, match="build it again"):
        cache.provide(ImageRef("fraud", A))


def test_layers_that_the_configuration_does_not_name_are_refused(
    cache: RootfsCache, registry: LayoutRegistry
) -> None:
    with pytest.raises(PermanentError, match="diffIDs"):
        cache.provide(push(registry, tar(a="a"), tar(b="b"), diff_ids=1))


def test_a_tree_is_never_made_of_other_layers_than_its_name_says(
    cache: RootfsCache, registry: LayoutRegistry
) -> None:
    good, evil = tar(a="good"), tar(a="evil")
    named = ImageConfig("amd64", ("/serve",), {}, (Digest.of(good),)).to_bytes()
    config, layer = (registry.push_blob("fraud", Content.of(content)) for content in (named, evil))
    manifest = Manifest(
        Descriptor(IMAGE_CONFIG, config.digest, config.size),
        (Descriptor(LAYER, layer.digest, layer.size),),
    ).to_bytes()
    image = ImageRef("fraud", registry.push_manifest("fraud", manifest, IMAGE_MANIFEST))
    with pytest.raises(PermanentError, match="diffIDs"):
        cache.provide(image)
    assert (cache.provide(push(registry, good)).path / "a").read_text() == "good"


def test_an_index_that_names_another_image_for_a_digest_is_not_believed(
    cache: RootfsCache, registry: LayoutRegistry, tmp_path: Path
) -> None:
    good, evil = push(registry, tar(a="good")), push(registry, tar(a="evil"))
    index = tmp_path / "images" / "index.json"
    swapped = index.read_text().replace(f"fraud@{good.digest}", "fraud:former")
    index.write_text(swapped.replace(f"fraud@{evil.digest}", f"fraud@{good.digest}"))
    assert (cache.provide(good).path / "a").read_text() == "good"


@pytest.mark.usefixtures("cache")
def test_nobody_else_may_look_at_what_is_unpacked(tmp_path: Path) -> None:
    assert (tmp_path / "unpacked").stat().st_mode & 0o777 == 0o700


def test_what_another_process_unpacked_meanwhile_is_taken(
    cache: RootfsCache, registry: LayoutRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = push(registry, tar(a="a"))
    first = cache.provide(image)
    exists, answers = Path.exists, iter([False])
    monkeypatch.setattr(Path, "exists", lambda path: next(answers, True) and exists(path))
    assert cache.provide(image) == first
