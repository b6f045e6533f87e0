"""What every image registry promises: the embedded layout, and real registries of every kind."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.content import Content
from pipeline.domain.oci import IMAGE_MANIFEST, SIGSTORE_BUNDLE, Descriptor
from pipeline.domain.references import Digest
from pipeline.domain.serving import Blob
from pipeline.errors import CorruptedError, InvalidReferenceError, NotFoundError
from pipeline.image.manifest import EMPTY, EMPTY_CONFIG, Manifest
from pipeline.image.referrers import fallback_tag, referrer_manifest
from pipeline.ports import ImageRegistry
from tests.fakes.image_registry import InMemoryRegistry
from tests.servers.registry_client import client_of

REMOTE = ("plain", "htpasswd", "token", "tls", "ociserver", "odd")
IMAGE = Manifest(EMPTY, (), {"kind": "image"}).to_bytes()
NEWER = Manifest(EMPTY, (), {"kind": "newer"}).to_bytes()
SUBJECT = Descriptor(IMAGE_MANIFEST, Digest.of(IMAGE), len(IMAGE))
NOT_A_TAG = ["", "a/b", "a:b", "-a", "a" * 129, "a\n", "../a"]


@dataclass(frozen=True)
class Images:
    """A registry of one kind, and two repositories and some bytes that no other test uses."""

    kind: str
    registry: ImageRegistry
    repository: str
    other: str
    content: bytes

    @property
    def digest(self) -> Digest:
        return Digest.of(self.content)

    def push_image(self, content: bytes = IMAGE, tag: str | None = None) -> Digest:
        self.registry.push_blob(self.repository, Content.of(EMPTY_CONFIG))
        return self.registry.push_manifest(self.repository, content, IMAGE_MANIFEST, tag=tag)

    def attach(self, name: str) -> Descriptor:
        """Attach a bundle to the image; return how it is to be listed."""
        blob = self.registry.push_blob(self.repository, Content.of(name.encode()))
        bundle = Descriptor(SIGSTORE_BUNDLE, blob.digest, blob.size)
        content = referrer_manifest(SUBJECT, bundle, {"name": name}).to_bytes()
        digest = self.registry.push_manifest(self.repository, content, IMAGE_MANIFEST)
        says = EMPTY.media_type if self.kind == "odd" else SIGSTORE_BUNDLE
        return Descriptor(IMAGE_MANIFEST, digest, len(content), says, {"name": name})

    def referrers(self) -> set[Digest]:
        return {found.digest for found in self.registry.referrers(self.repository, SUBJECT.digest)}


REAL = tuple(pytest.param(kind, marks=pytest.mark.xdist_group("registries")) for kind in REMOTE)


@contextmanager
def opened(kind: str, request: pytest.FixtureRequest, folder: Path) -> Iterator[Images]:
    name = f"t{secrets.token_hex(6)}"
    content = f"content of {name}".encode()
    if kind in REMOTE:
        server = request.getfixturevalue(kind if kind == "ociserver" else f"{kind}_registry")
        at = f"{server.host}/{name}"
        with client_of(server, folder) as client:
            yield Images(kind, client, f"{at}/fraud", f"{at}/other", content)
    else:
        made = InMemoryRegistry() if kind == "fake" else LayoutRegistry(folder / "images")
        yield Images(kind, made, "ml/fraud", "ml/other", content)


@pytest.fixture(params=["fake", "layout", *REAL])
def images(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Images]:
    with opened(request.param, request, tmp_path) as images:
        yield images


@pytest.fixture(params=["layout", *REAL])
def real_images(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Images]:
    with opened(request.param, request, tmp_path) as images:
        yield images


@pytest.fixture(params=REAL)
def remote_images(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Images]:
    with opened(request.param, request, tmp_path) as images:
        yield images


def test_a_pushed_blob_is_there_and_read_back(images: Images) -> None:
    registry, repository, content = images.registry, images.repository, images.content
    parts = [content[:3], content[3:]]
    blob = registry.push_blob(repository, Content(lambda: iter(parts), len(content)))
    assert blob == Blob(images.digest, len(content))
    assert registry.blob(repository, blob.digest) == blob
    assert b"".join(registry.read_blob(repository, blob.digest)) == content


def test_a_large_blob_is_read_back_as_it_was_pushed(images: Images) -> None:
    parts = [images.content, bytes(1 << 20), bytes(300_000), images.content]
    whole = b"".join(parts)
    blob = images.registry.push_blob(images.repository, Content(lambda: iter(parts), len(whole)))
    assert blob == Blob(Digest.of(whole), len(whole))
    assert b"".join(images.registry.read_blob(images.repository, blob.digest)) == whole


def test_a_blob_of_no_bytes_is_a_blob(images: Images) -> None:
    blob = images.registry.push_blob(images.repository, Content(lambda: (), 0))
    assert blob == Blob(Digest.of(b""), 0)
    assert b"".join(images.registry.read_blob(images.repository, blob.digest)) == b""


def test_pushing_a_blob_again_changes_nothing(images: Images) -> None:
    registry, repository, content = images.registry, images.repository, images.content
    assert registry.push_blob(repository, Content.of(content)) == registry.push_blob(
        repository, Content(lambda: [b"", content], len(content))
    )


def test_a_blob_that_nobody_pushed_is_not_there(images: Images) -> None:
    assert images.registry.blob(images.repository, images.digest) is None
    with pytest.raises(NotFoundError):
        list(images.registry.read_blob(images.repository, images.digest))


@pytest.mark.parametrize("size", [8, 3 << 20], ids=["small", "large"])
def test_a_stream_that_breaks_is_no_blob(images: Images, size: int) -> None:
    half = images.content.ljust(size // 2, b".")

    def broken() -> Iterator[bytes]:
        yield half
        raise CorruptedError("read", "it", "it ended")

    with pytest.raises(CorruptedError, match="it ended"):
        images.registry.push_blob(images.repository, Content(broken, 2 * len(half)))
    assert images.registry.blob(images.repository, Digest.of(half)) is None


@pytest.mark.parametrize("padding", [0, 2 << 20], ids=["small", "large"])
@pytest.mark.parametrize(
    ("more", "digest"),
    [(-1, None), (1, None), (0, Digest.of(b"tampered"))],
    ids=["more bytes", "fewer bytes", "other bytes"],
)
def test_bytes_that_are_not_what_they_say_are_no_blob(
    images: Images, more: int, digest: Digest | None, padding: int
) -> None:
    content = images.content + bytes(padding)
    with pytest.raises(CorruptedError):
        images.registry.push_blob(
            images.repository, Content(lambda: [content], len(content) + more, digest)
        )
    for part in (content, content[:-1]):
        assert images.registry.blob(images.repository, Digest.of(part)) is None


def test_a_blob_of_another_repository_is_taken_over_without_its_bytes(images: Images) -> None:
    blob = images.registry.push_blob(images.repository, Content.of(images.content))
    mounted = images.registry.mount(images.other, blob.digest, images.repository)
    assert mounted == (None if images.kind == "odd" else blob)  # that one cannot
    assert images.registry.blob(images.other, blob.digest) == blob
    assert b"".join(images.registry.read_blob(images.other, blob.digest)) == images.content


def test_a_blob_that_is_not_there_cannot_be_taken_over(images: Images) -> None:
    assert images.registry.mount(images.other, images.digest, images.repository) is None
    assert images.registry.blob(images.other, images.digest) is None


def test_tags_are_listed_for_each_repository(images: Images) -> None:
    assert images.registry.tags(images.repository) == ()
    for tag in ("two", "one"):
        images.push_image(tag=tag)
    assert images.registry.tags(images.repository) == ("one", "two")
    assert images.registry.tags(images.repository[:-1]) == ()


def test_a_deleted_manifest_is_gone_with_its_tags(images: Images) -> None:
    registry, repository = images.registry, images.repository
    images.push_image(tag="one")
    images.push_image(NEWER, tag="two")
    for _ in range(2):
        registry.delete(repository, SUBJECT.digest)
    assert registry.manifest(repository, SUBJECT.digest.value) is None
    assert registry.manifest(repository, "one") is None
    assert registry.tags(repository) == ("two",)
    assert registry.manifest(repository, "two") == NEWER


def test_a_local_file_is_pushed_under_its_digest(images: Images, tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(images.content)
    for _ in range(2):
        pushed = images.registry.push_file(images.repository, tmp_path / "layer", images.digest)
        assert pushed == Blob(images.digest, len(images.content))
    read = images.registry.read_blob(images.repository, images.digest)
    assert b"".join(read) == images.content


def test_a_local_file_that_changed_is_not_pushed(images: Images, tmp_path: Path) -> None:
    (tmp_path / "layer").write_bytes(b"tampered")
    with pytest.raises(CorruptedError):
        images.registry.push_file(images.repository, tmp_path / "layer", images.digest)
    assert images.registry.blob(images.repository, images.digest) is None


def test_a_local_file_that_is_not_there_is_not_pushed(real_images: Images, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="layer"):
        real_images.registry.push_file(
            real_images.repository, tmp_path / "layer", real_images.digest
        )


def test_a_manifest_is_read_by_digest_and_by_tag_in_its_own_repository(images: Images) -> None:
    registry, repository = images.registry, images.repository
    digest = images.push_image(tag="one")
    assert digest == SUBJECT.digest
    assert registry.manifest(repository, "one") == IMAGE
    assert registry.manifest(repository, digest.value) == IMAGE
    assert registry.manifest(repository, "two") is None
    assert registry.manifest(repository, Digest.of(b"").value) is None
    assert registry.manifest(images.other, digest.value) is None
    assert registry.manifest(images.other, "one") is None


def test_a_tag_moves_and_what_it_named_stays(images: Images) -> None:
    images.push_image(tag="one")
    images.push_image(NEWER, tag="one")
    assert images.registry.manifest(images.repository, "one") == NEWER
    assert images.registry.manifest(images.repository, SUBJECT.digest.value) == IMAGE


def test_referrers_are_found_from_the_image_each_once(images: Images) -> None:
    images.push_image()
    assert images.registry.referrers(images.repository, SUBJECT.digest) == ()
    attached = [images.attach(name) for name in ("one", "two", "two")]
    found = images.registry.referrers(images.repository, SUBJECT.digest)
    assert sorted(found, key=lambda each: each.digest) == sorted(
        attached[:2], key=lambda each: each.digest
    )
    assert images.registry.referrers(images.other, SUBJECT.digest) == ()


def test_a_deleted_referrer_is_not_listed_any_more(remote_images: Images) -> None:
    remote_images.push_image(tag="one")
    one, two = remote_images.attach("one"), remote_images.attach("two")
    remote_images.registry.delete(remote_images.repository, one.digest)
    assert remote_images.referrers() == {two.digest}
    remote_images.registry.delete(remote_images.repository, two.digest)
    assert remote_images.referrers() == set()
    assert fallback_tag(SUBJECT.digest) not in remote_images.registry.tags(remote_images.repository)
    assert remote_images.registry.manifest(remote_images.repository, "one") == IMAGE


@pytest.mark.parametrize("tag", NOT_A_TAG)
def test_no_registry_is_asked_for_what_is_no_tag(real_images: Images, tag: str) -> None:
    for reference in (tag, f"sha256:{tag}"):
        with pytest.raises(InvalidReferenceError):
            real_images.registry.manifest(real_images.repository, reference)


@pytest.mark.parametrize("name", ["../x", "A", "a//b"])
def test_no_registry_is_asked_for_what_is_no_repository(real_images: Images, name: str) -> None:
    with pytest.raises(InvalidReferenceError):
        real_images.registry.push_blob(f"{real_images.repository}/{name}", Content.of(b""))
