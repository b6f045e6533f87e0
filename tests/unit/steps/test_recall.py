"""A version promoted before is its image; only what was verified is remembered."""

from dataclasses import replace

import pytest

from pipeline.domain.content import Content
from pipeline.domain.evidence import CheckedModel, ResolvedModel, SignedImage, VerifiedImage
from pipeline.domain.oci import IMAGE_MANIFEST
from pipeline.domain.plan import Plan
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.errors import NotFoundError
from pipeline.image.manifest import EMPTY, EMPTY_CONFIG, Manifest, parse_manifest
from pipeline.image.version_key import version_key
from pipeline.steps.recall import recall, remember
from tests.fakes.image_registry import InMemoryRegistry

MODEL = ModelVersion("fraud", 7)
PLAN = Plan("fraud", "fraud", repository="ml/fraud")
CHECKED = CheckedModel(ResolvedModel(MODEL, "champion", "r", "m", "models:/m", "/a", {}), ())
KEY = version_key(CHECKED.resolved, PLAN)
IMAGE = Manifest(
    EMPTY, (), {"dev.laurel.model.name": "fraud", "dev.laurel.model.version": "7"}
).to_bytes()
REF = ImageRef("ml/fraud", Digest.of(IMAGE))
SOME = Digest.of(b"")
VERIFIED = VerifiedImage(REF, MODEL, "mlflow", "fraud", "k", SOME, SOME, SOME, ())


@pytest.fixture
def registry() -> InMemoryRegistry:
    registry = InMemoryRegistry()
    registry.push_manifest("ml/fraud", IMAGE, IMAGE_MANIFEST)
    return registry


def recalled(
    registry: InMemoryRegistry, *, rebuild: bool = False, plan: Plan = PLAN
) -> SignedImage | None:
    return recall(CHECKED, plan=plan, rebuild=rebuild, registry=registry, key_id="k")


def test_a_version_never_promoted_has_no_image(registry: InMemoryRegistry) -> None:
    assert recalled(registry) is None


def test_what_was_remembered_is_recalled_by_one_read(registry: InMemoryRegistry) -> None:
    remember(VERIFIED, KEY, registry=registry)
    before = registry.requests
    assert recalled(registry) == SignedImage(REF, MODEL, "k", KEY)
    assert registry.requests == before + 1


def test_remembering_twice_is_remembering(registry: InMemoryRegistry) -> None:
    for _ in range(2):
        remember(VERIFIED, KEY, registry=registry)
    assert recalled(registry) == SignedImage(REF, MODEL, "k", KEY)


def test_who_asks_for_a_rebuild_recalls_nothing(registry: InMemoryRegistry) -> None:
    remember(VERIFIED, KEY, registry=registry)
    assert recalled(registry, rebuild=True) is None


@pytest.mark.parametrize("label", ["dev.laurel.model.name", "dev.laurel.model.version"])
def test_a_tag_that_names_another_models_image_is_not_believed(
    registry: InMemoryRegistry, label: str
) -> None:
    annotations = {"dev.laurel.model.name": "fraud", "dev.laurel.model.version": "7", label: "x"}
    other = Manifest(EMPTY, (), annotations).to_bytes()
    registry.push_manifest("ml/fraud", other, IMAGE_MANIFEST, tag=KEY)
    assert recalled(registry) is None


def test_an_image_that_is_gone_cannot_be_remembered(registry: InMemoryRegistry) -> None:
    gone = replace(VERIFIED, ref=ImageRef("ml/fraud", Digest.of(b"gone")))
    with pytest.raises(NotFoundError, match="--rebuild"):
        remember(gone, KEY, registry=registry)


COPIES = replace(PLAN, repository="prod/fraud", copy_from="ml/fraud")


@pytest.fixture
def staged(registry: InMemoryRegistry) -> InMemoryRegistry:
    """Remember the version's image in the repository to copy from."""
    registry.push_blob("ml/fraud", Content.of(EMPTY_CONFIG))
    remember(VERIFIED, KEY, registry=registry)
    return registry


def test_an_image_of_the_repository_to_copy_from_is_copied_by_its_digest(
    staged: InMemoryRegistry,
) -> None:
    found = recalled(staged, plan=COPIES)
    assert found == SignedImage(ImageRef("prod/fraud", REF.digest), MODEL, "k", KEY)
    assert staged.manifest("prod/fraud", REF.digest.value) == IMAGE
    assert staged.tags("prod/fraud") == ()  # only what was verified is remembered


def test_the_own_repositorys_image_comes_first(staged: InMemoryRegistry) -> None:
    own = Manifest(EMPTY, (), {**parse_manifest(IMAGE).annotations, "own": "1"}).to_bytes()
    staged.push_manifest("prod/fraud", own, IMAGE_MANIFEST, tag=KEY)
    before = staged.requests
    found = recalled(staged, plan=COPIES)
    assert found is not None
    assert found.ref == ImageRef("prod/fraud", Digest.of(own))
    assert staged.requests == before + 1


def test_what_the_repository_to_copy_from_has_not_is_built(registry: InMemoryRegistry) -> None:
    assert recalled(registry, plan=COPIES) is None


def test_who_asks_for_a_rebuild_copies_nothing(staged: InMemoryRegistry) -> None:
    assert recalled(staged, plan=COPIES, rebuild=True) is None
    assert staged.manifest("prod/fraud", REF.digest.value) is None


def test_another_models_image_is_not_copied(registry: InMemoryRegistry) -> None:
    other = Manifest(EMPTY, (), {"dev.laurel.model.name": "other"}).to_bytes()
    registry.push_manifest("ml/fraud", other, IMAGE_MANIFEST, tag=KEY)
    assert recalled(registry, plan=COPIES) is None
    assert registry.manifest("prod/fraud", Digest.of(other).value) is None
