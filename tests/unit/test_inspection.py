"""What an image says is inside it: told as it is, and never other bytes than its digests name."""

import pytest

from pipeline.domain.content import Content
from pipeline.domain.oci import IMAGE_CONFIG, IMAGE_MANIFEST, Descriptor
from pipeline.domain.references import Digest, ImageRef
from pipeline.errors import CorruptedError
from pipeline.image.canonical import LIMIT
from pipeline.image.manifest import EMPTY, Manifest, parse_manifest
from pipeline.inspection import MAX_REFERRERS, Inspected, inspect
from tests.fakes.baked_image import bake
from tests.fakes.image_registry import InMemoryRegistry

SAID = "dev.sigstore.bundle.predicateType"


@pytest.fixture
def registry() -> InMemoryRegistry:
    return InMemoryRegistry()


@pytest.fixture
def image(registry: InMemoryRegistry) -> ImageRef:
    return bake(registry).built.ref


def refer(registry: InMemoryRegistry, image: ImageRef, content: bytes, **said: str) -> None:
    registry.manifests[image.repository, Digest.of(content)] = content
    listed = Descriptor(IMAGE_MANIFEST, Digest.of(content), len(content), "bundle", said)
    registry.list_referrer(image.repository, image.digest, listed)


def predicates(found: Inspected) -> list[str | None]:
    return [each.predicate_type for each in found.attached]


def test_a_predicate_type_is_told_by_the_list_or_by_the_referrer_itself(
    registry: InMemoryRegistry, image: ImageRef
) -> None:
    refer(registry, image, b"listed", **{SAID: "by the list"})
    refer(registry, image, Manifest(EMPTY, (), {SAID: "by itself"}).to_bytes())
    assert predicates(inspect(image, registry=registry)) == ["by the list", "by itself"]


def test_a_referrer_that_is_damaged_or_gone_is_told_without_one(
    registry: InMemoryRegistry, image: ImageRef
) -> None:
    refer(registry, image, b"no manifest")
    refer(registry, image, b"gone")
    del registry.manifests[image.repository, Digest.of(b"gone")]
    assert predicates(inspect(image, registry=registry)) == [None, None]


def test_a_crowd_of_referrers_is_read_no_further(
    registry: InMemoryRegistry, image: ImageRef
) -> None:
    for number in range(MAX_REFERRERS + 1):
        refer(registry, image, str(number).encode(), **{SAID: "one of many"})
    assert len(inspect(image, registry=registry).attached) == MAX_REFERRERS


def test_other_bytes_than_the_digest_names_are_refused(
    registry: InMemoryRegistry, image: ImageRef
) -> None:
    registry.manifests[image.repository, image.digest] += b" "
    with pytest.raises(CorruptedError, match="other bytes"):
        inspect(image, registry=registry)


def test_a_configuration_is_of_its_digest_and_not_endless(
    registry: InMemoryRegistry, image: ImageRef
) -> None:
    config = parse_manifest(registry.manifests[image.repository, image.digest]).config
    registry.blobs[image.repository, config.digest] = b"x" * (3 * LIMIT)
    with pytest.raises(CorruptedError, match="other bytes"):
        inspect(image, registry=registry)


def test_what_has_no_configuration_is_no_image(registry: InMemoryRegistry) -> None:
    blob = registry.push_blob("ml/fraud", Content.of(b"{}"))
    manifest = Manifest(Descriptor(IMAGE_CONFIG, blob.digest, blob.size), ()).to_bytes()
    digest = registry.push_manifest("ml/fraud", manifest, IMAGE_MANIFEST)
    with pytest.raises(CorruptedError):
        inspect(ImageRef("ml/fraud", digest), registry=registry)
