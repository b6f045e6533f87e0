"""Images moved between repositories: the same digest, everything attached with them, and bounds."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.adapters.cosign_signer import KeyFileSigner
from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.content import Content
from pipeline.domain.evidence import BuiltImage
from pipeline.domain.oci import IMAGE_MANIFEST, SIGSTORE_BUNDLE, Descriptor
from pipeline.domain.policy import TrustPolicy
from pipeline.domain.references import Digest, ImageRef
from pipeline.domain.serving import Blob
from pipeline.errors import ConflictError, CorruptedError, ForbiddenError, NotFoundError
from pipeline.image.manifest import EMPTY, EMPTY_CONFIG, Manifest, index_bytes, parse_manifest
from pipeline.image.referrers import fallback_tag, legacy_tags, referrer_manifest
from pipeline.ports import ImageRegistry
from pipeline.steps.sign import sign
from pipeline.transfer import MAX_REFERRERS, copy_image
from pipeline.trust.keys import PrivateKey
from tests.fakes.baked_image import bake
from tests.fakes.clock import FakeClock
from tests.fakes.image_registry import InMemoryRegistry

HERE, THERE = "ml/fraud", "prod/fraud"
SIGNER = KeyFileSigner(PrivateKey.generate())
POLICY = TrustPolicy((SIGNER.public_key_pem,), "https://laurel.dev/b", "http://mlflow")


def signed(registry: ImageRegistry) -> BuiltImage:
    """Make an image with a signature and provenance."""
    smoked = bake(registry, repository=HERE)
    sign(
        smoked,
        registry=registry,
        signer=SIGNER,
        policy=POLICY,
        clock=FakeClock(),
        promotion_id="p-1",
    )
    return smoked.built


def attach(
    registry: ImageRegistry, subject: ImageRef, name: str, content: bytes | None = None
) -> Digest:
    """Attach a foreign statement, as whoever can push may."""
    blob = registry.push_blob(subject.repository, Content.of(content or name.encode()))
    registry.push_blob(subject.repository, Content.of(EMPTY_CONFIG))
    referrer = referrer_manifest(
        Descriptor(IMAGE_MANIFEST, subject.digest, 1),
        Descriptor("application/vnd.foreign", blob.digest, blob.size),
        {"name": name},
    )
    return registry.push_manifest(subject.repository, referrer.to_bytes(), IMAGE_MANIFEST)


def list_referrer(registry: InMemoryRegistry, image: ImageRef, content: bytes, size: int) -> None:
    listed = Descriptor(IMAGE_MANIFEST, Digest.of(content), size, SIGSTORE_BUNDLE)
    registry.manifests[image.repository, listed.digest] = content
    registry.list_referrer(image.repository, image.digest, listed)


def digests(listed: tuple[Descriptor, ...]) -> set[Digest]:
    return {each.digest for each in listed}


@pytest.fixture(params=["fake to fake", "layout to fake", "fake to layout", "layout to layout"])
def ends(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[ImageRegistry, ImageRegistry]:
    """Two registries that share nothing."""
    made = [
        InMemoryRegistry() if end == "fake" else LayoutRegistry(tmp_path / str(number))
        for number, end in enumerate(request.param.split(" to "))
    ]
    return made[0], made[1]


@pytest.fixture
def registry() -> InMemoryRegistry:
    return InMemoryRegistry()


def test_a_copy_has_the_same_digest_and_every_statement(
    ends: tuple[ImageRegistry, ImageRegistry],
) -> None:
    source, registry = ends
    image = signed(source).ref
    foreign = attach(source, image, "foreign")
    about_that = attach(source, ImageRef(HERE, foreign), "about the foreign one")
    copies = [copy_image(image, THERE, registry=registry, sources=source) for _ in range(2)]
    assert copies == [ImageRef(THERE, image.digest)] * 2
    assert registry.manifest(THERE, image.digest.value) == source.manifest(HERE, image.digest.value)
    assert digests(registry.referrers(THERE, image.digest)) == digests(
        source.referrers(HERE, image.digest)
    )
    assert digests(registry.referrers(THERE, foreign)) == {about_that}
    blobs = [b"base", b"environment", b"model", b"foreign", b"about the foreign one"]
    assert [registry.blob(THERE, Digest.of(blob)) for blob in blobs] == [
        Blob(Digest.of(blob), len(blob)) for blob in blobs
    ]


def test_what_cosign_attached_by_tags_comes_along(registry: InMemoryRegistry) -> None:
    image = signed(registry).ref
    former = Manifest(EMPTY, (), {"kind": "cosign 2"}).to_bytes()
    registry.push_blob(HERE, Content.of(EMPTY_CONFIG))
    for tag in legacy_tags(image.digest)[:2]:
        registry.push_manifest(HERE, former, IMAGE_MANIFEST, tag=tag)
    ours = Manifest(EMPTY, (), {"kind": "here already"}).to_bytes()
    registry.push_manifest(THERE, ours, IMAGE_MANIFEST, tag=f"{fallback_tag(image.digest)}.att")
    copy_image(image, THERE, registry=registry)
    assert registry.manifest(THERE, f"{fallback_tag(image.digest)}.sig") == former
    assert registry.manifest(THERE, f"{fallback_tag(image.digest)}.att") == ours


def test_on_one_host_blobs_are_mounted_and_never_read(
    registry: InMemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = signed(registry).ref

    def read_blob(repository: str, digest: Digest) -> Iterator[bytes]:
        raise AssertionError(f"{repository}@{digest} was read")

    monkeypatch.setattr(registry, "read_blob", read_blob)
    copy_image(image, THERE, registry=registry)
    assert (THERE, Digest.of(b"model")) in registry.blobs


def test_no_manifest_arrives_before_what_it_names_and_the_image_before_its_statements(
    registry: InMemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, target = signed(registry).ref, InMemoryRegistry()
    push, order = target.push_manifest, []

    def push_manifest(
        repository: str, content: bytes, media_type: str, *, tag: str | None = None
    ) -> Digest:
        named = parse_manifest(content)
        assert all(target.blob(repository, b.digest) for b in (*named.layers, named.config))
        assert tag is None
        order.append(Digest.of(content))
        return push(repository, content, media_type)

    monkeypatch.setattr(target, "push_manifest", push_manifest)
    copy_image(image, THERE, registry=target, sources=registry)
    assert order[0] == image.digest
    assert len(order) == 3


def test_an_image_that_is_not_there_is_told(registry: InMemoryRegistry) -> None:
    with pytest.raises(NotFoundError, match="no such manifest"):
        copy_image(ImageRef(HERE, Digest.of(b"gone")), THERE, registry=registry)


def test_other_bytes_than_the_digest_says_are_refused(registry: InMemoryRegistry) -> None:
    image = signed(registry).ref
    registry.manifests[HERE, image.digest] += b" "
    with pytest.raises(CorruptedError, match="other bytes"):
        copy_image(image, THERE, registry=registry)
    assert registry.manifest(THERE, image.digest.value) is None


def test_an_image_with_a_damaged_layer_does_not_arrive(registry: InMemoryRegistry) -> None:
    image, target = signed(registry).ref, InMemoryRegistry()
    registry.blobs[HERE, Digest.of(b"model")] = b"lodem"
    with pytest.raises(CorruptedError):
        copy_image(image, THERE, registry=target, sources=registry)
    assert target.manifests == {}


def test_an_image_of_more_layers_than_engines_mount_is_refused(registry: InMemoryRegistry) -> None:
    layers = (EMPTY,) * 128
    image = registry.push_manifest(HERE, Manifest(EMPTY, layers).to_bytes(), IMAGE_MANIFEST)
    with pytest.raises(CorruptedError, match="129 blobs"):
        copy_image(ImageRef(HERE, image), THERE, registry=registry)


def _gone(registry: InMemoryRegistry, image: ImageRef) -> None:
    list_referrer(registry, image, b"{}", 2)
    del registry.manifests[HERE, Digest.of(b"{}")]


def _an_index(registry: InMemoryRegistry, image: ImageRef) -> None:
    list_referrer(registry, image, index_bytes(()), 1)


def _without_subject(registry: InMemoryRegistry, image: ImageRef) -> None:
    list_referrer(registry, image, Manifest(EMPTY, ()).to_bytes(), 1)


def _of_another(registry: InMemoryRegistry, image: ImageRef) -> None:
    other = Descriptor(IMAGE_MANIFEST, Digest.of(b"another"), 1)
    list_referrer(registry, image, Manifest(EMPTY, (), subject=other).to_bytes(), 1)


def _tampered(registry: InMemoryRegistry, image: ImageRef) -> None:
    registry.manifests[HERE, attach(registry, image, "tampered")] += b" "


def _without_its_blob(registry: InMemoryRegistry, image: ImageRef) -> None:
    attach(registry, image, "without its blob")
    del registry.blobs[HERE, Digest.of(b"without its blob")]


def _with_other_bytes(registry: InMemoryRegistry, image: ImageRef) -> None:
    attach(registry, image, "as it was")
    registry.blobs[HERE, Digest.of(b"as it was")] = b"as it is."


def _too_large(registry: InMemoryRegistry, image: ImageRef) -> None:
    subject = Descriptor(IMAGE_MANIFEST, image.digest, 1)
    layer = Descriptor(SIGSTORE_BUNDLE, Digest.of(b"large"), 1 << 30)
    list_referrer(registry, image, referrer_manifest(subject, layer, {}).to_bytes(), 1)


@pytest.mark.parametrize(
    "damage",
    [
        *(_gone, _an_index, _without_subject, _of_another),
        *(_tampered, _without_its_blob, _with_other_bytes, _too_large),
    ],
)
def test_a_damaged_referrer_is_left_behind_and_stops_nothing(
    registry: InMemoryRegistry, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    image, target = signed(registry).ref, InMemoryRegistry()
    sound = digests(registry.referrers(HERE, image.digest))
    damage(registry, image)  # type: ignore[operator]  # one of the functions above
    with caplog.at_level(logging.WARNING, "pipeline.transfer"):
        copy_image(image, THERE, registry=target, sources=registry)
    assert digests(target.referrers(THERE, image.digest)) == sound
    assert "left behind" in caplog.text


@pytest.mark.parametrize("content", [b"no manifest", Manifest(EMPTY, ()).to_bytes()])
def test_a_damaged_tag_of_cosign_is_left_behind(
    registry: InMemoryRegistry, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    image, target = bake(registry, repository=HERE).built.ref, InMemoryRegistry()
    tag = legacy_tags(image.digest)[0]
    registry.manifests[HERE, Digest.of(content)] = content
    registry.tagged[HERE, tag] = Digest.of(content)
    copy_image(image, THERE, registry=target, sources=registry)
    assert target.tags(THERE) == ()
    assert "left behind" in caplog.text


def test_a_crowd_of_foreign_referrers_is_bounded_and_displaces_no_signature(
    registry: InMemoryRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    image = bake(registry, repository=HERE).built.ref
    for number in range(MAX_REFERRERS + 10):
        attach(registry, image, f"foreign {number}")
    assert signed(registry).ref == image
    copy_image(image, THERE, registry=registry)
    copied = registry.referrers(THERE, image.digest)
    assert len(copied) == MAX_REFERRERS
    assert sum(d.artifact_type == SIGSTORE_BUNDLE for d in copied) == 2
    assert "12 referrers of" in caplog.text


def test_a_statement_that_another_writer_displaced_from_the_list_is_put_again(
    registry: InMemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, target = signed(registry).ref, InMemoryRegistry()
    push = target.push_manifest
    displaced: list[Descriptor] = []

    def push_manifest(
        repository: str, content: bytes, media_type: str, *, tag: str | None = None
    ) -> Digest:
        digest = push(repository, content, media_type, tag=tag)
        if target.listed[repository, image.digest] and not displaced:
            displaced.append(target.listed[repository, image.digest].pop())
        return digest

    monkeypatch.setattr(target, "push_manifest", push_manifest)
    copy_image(image, THERE, registry=target, sources=registry)
    assert displaced
    assert len(target.referrers(THERE, image.digest)) == 2


def test_a_list_that_never_keeps_a_statement_is_told(
    registry: InMemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = signed(registry).ref
    target = InMemoryRegistry()
    monkeypatch.setattr(target, "list_referrer", lambda *_referrer: None)
    with pytest.raises(ConflictError, match="other writers"):
        copy_image(image, THERE, registry=target, sources=registry)


def test_a_right_that_is_missing_is_no_damage(
    registry: InMemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = signed(registry).ref

    def forbidden(*_asked: object) -> None:
        raise ForbiddenError("push", THERE, "ask for access")

    monkeypatch.setattr(registry, "mount", forbidden)
    with pytest.raises(ForbiddenError):
        copy_image(image, THERE, registry=registry)
