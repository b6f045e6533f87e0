"""An image goes with all that belongs to it, and nothing that only somebody says belongs to it."""

from dataclasses import replace

import pytest

from pipeline.collection.remove import remove_image
from pipeline.domain.content import Content
from pipeline.domain.oci import IMAGE_INDEX, IMAGE_MANIFEST, LAYER, SIGSTORE_BUNDLE, Descriptor
from pipeline.domain.references import Digest, ImageRef
from pipeline.image.manifest import EMPTY, EMPTY_CONFIG, Manifest, index_bytes
from pipeline.image.referrers import fallback_tag, legacy_tags, referrer_manifest
from pipeline.ports import ImageRegistry
from tests.fakes.baked_image import bake
from tests.fakes.image_registry import InMemoryRegistry

HERE = "ml/fraud"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"


@pytest.fixture
def registry() -> InMemoryRegistry:
    made = InMemoryRegistry()
    made.push_blob(HERE, Content.of(EMPTY_CONFIG))
    return made


def image(registry: ImageRegistry, name: bytes = b"model") -> ImageRef:
    return bake(registry, layers=(b"base", name)).built.ref


def attached(registry: ImageRegistry, subject: Digest, name: str = "bundle") -> Digest:
    about = Descriptor(IMAGE_MANIFEST, subject, 1)
    layer = Descriptor(SIGSTORE_BUNDLE, Digest.of(name.encode()), len(name))
    content = referrer_manifest(about, layer, {}).to_bytes()
    return registry.push_manifest(HERE, content, IMAGE_MANIFEST)


def named(registry: InMemoryRegistry) -> set[Digest]:
    return {digest for _, digest in registry.manifests}


def cosigns(media_type: str = SIMPLE_SIGNING) -> bytes:
    return Manifest(EMPTY, (replace(EMPTY, media_type=media_type),)).to_bytes()


def test_an_image_goes_with_its_tags_and_with_all_that_refers_to_it(
    registry: InMemoryRegistry,
) -> None:
    gone, kept = image(registry), image(registry, b"another model")
    registry.tagged[HERE, "laurel-1"] = gone.digest
    registry.tagged[HERE, "laurel-2"] = kept.digest
    signature = attached(registry, gone.digest)
    attached(registry, signature, "about the signature")
    other = attached(registry, kept.digest)
    for _ in range(2):
        remove_image(gone, registry=registry)
    assert named(registry) == {kept.digest, other}
    assert registry.tags(HERE) == ("laurel-2",)


def test_the_image_goes_before_its_signatures(
    registry: InMemoryRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = image(registry)
    attached(registry, gone.digest)
    order: list[Digest] = []
    monkeypatch.setattr(registry, "delete", lambda _repository, digest: order.append(digest))
    remove_image(gone, registry=registry)
    assert order[0] == gone.digest
    assert len(order) == 2


def test_what_cosign_attached_by_tags_goes_too(registry: InMemoryRegistry) -> None:
    gone = image(registry)
    for number, tag in enumerate(legacy_tags(gone.digest)):
        content = cosigns(f"{SIMPLE_SIGNING};{number}")
        registry.push_manifest(HERE, content, IMAGE_MANIFEST, tag=tag)
    remove_image(gone, registry=registry)
    assert named(registry) == set()


def test_the_index_that_lists_referrers_goes(registry: InMemoryRegistry) -> None:
    gone = image(registry)
    signature = attached(registry, gone.digest)
    index = index_bytes((Descriptor(IMAGE_MANIFEST, signature, 1),))
    registry.push_manifest(HERE, index, IMAGE_INDEX, tag=fallback_tag(gone.digest))
    remove_image(gone, registry=registry)
    assert named(registry) == set()


def test_an_image_that_a_list_of_referrers_names_stays(registry: InMemoryRegistry) -> None:
    gone, kept = image(registry), image(registry, b"another model")
    statement = attached(registry, kept.digest)
    for digest in (kept.digest, statement, Digest.of(b"nowhere")):
        listed = Descriptor(IMAGE_MANIFEST, digest, 1)
        registry.list_referrer(HERE, gone.digest, listed)
    remove_image(gone, registry=registry)
    assert named(registry) == {kept.digest, statement}


def test_an_index_that_names_another_image_stays(registry: InMemoryRegistry) -> None:
    gone, kept = image(registry), image(registry, b"another model")
    index = index_bytes((Descriptor(IMAGE_MANIFEST, kept.digest, 1),))
    tag = fallback_tag(gone.digest)
    named_by_all = registry.push_manifest(HERE, index, IMAGE_INDEX, tag=tag)
    remove_image(gone, registry=registry)
    assert named(registry) == {kept.digest, named_by_all}


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_an_image_under_one_of_cosigns_tags_stays(registry: InMemoryRegistry, kind: int) -> None:
    gone, kept = image(registry), image(registry, b"another model")
    registry.tagged[HERE, legacy_tags(gone.digest)[kind]] = kept.digest
    remove_image(gone, registry=registry)
    assert named(registry) == {kept.digest}


@pytest.mark.parametrize(
    "content", [b"no manifest", Manifest(EMPTY, ()).to_bytes(), cosigns(LAYER)]
)
def test_what_is_not_known_to_be_cosigns_stays(registry: InMemoryRegistry, content: bytes) -> None:
    gone = image(registry)
    for tag in (legacy_tags(gone.digest)[0], fallback_tag(gone.digest)):
        registry.manifests[HERE, Digest.of(content)] = content
        registry.tagged[HERE, tag] = Digest.of(content)
    remove_image(gone, registry=registry)
    assert named(registry) == {Digest.of(content)}


def test_referrers_that_refer_to_each_other_are_each_removed_once(
    registry: InMemoryRegistry,
) -> None:
    gone = image(registry)
    signature = attached(registry, gone.digest)
    registry.list_referrer(HERE, signature, Descriptor(IMAGE_MANIFEST, signature, 1))
    registry.list_referrer(HERE, gone.digest, Descriptor(IMAGE_MANIFEST, signature, 2))
    remove_image(gone, registry=registry)
    assert named(registry) == set()
