"""Recall: a model version promoted before is its image; nothing is read, resolved or built.

Safe to repeat: recalling is one manifest read, remembering points a tag where it points already,
and what was copied is not moved again.
"""

from pipeline.domain.evidence import CheckedModel, Refused, SignedImage, VerifiedImage
from pipeline.domain.oci import IMAGE_MANIFEST
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Promotion
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.errors import NotFoundError
from pipeline.image.manifest import parse_manifest
from pipeline.image.version_key import repository_of, version_key
from pipeline.ports import ImageRegistry
from pipeline.transfer import copy_image


def recall(
    checked: CheckedModel, *, plan: Plan, rebuild: bool, registry: ImageRegistry, key_id: str
) -> SignedImage | None:
    """Find the image that the version key names (interfaces §8.8); ``verify`` still judges it.

    Where the service's own repository has none, the image of ``copy_from`` is copied, if there is
    one. ``None`` where there is none, where the tag names another model's, or where a person asked
    to ``rebuild``: then a build follows. ``key_id`` is the key that would sign now.
    """
    if rebuild:
        return None
    model, repository = checked.resolved.model, repository_of(plan)
    key = version_key(checked.resolved, plan)
    image = named(key, model, repository, registry)
    if image is None and plan.copy_from:
        elsewhere = named(key, model, plan.copy_from, registry)
        image = elsewhere and copy_image(elsewhere, repository, registry=registry)
    return None if image is None else SignedImage(image, model, key_id, key)


def named(
    key: str, model: ModelVersion, repository: str, registry: ImageRegistry
) -> ImageRef | None:
    """Read which image a version key names, unless it says of itself that it is another model's."""
    content = registry.manifest(repository, key)
    if content is None:
        return None
    said = parse_manifest(content).annotations
    says = (said.get("dev.laurel.model.name"), said.get("dev.laurel.model.version"))
    if says != (model.name, str(model.version)):
        return None
    return ImageRef(repository, Digest.of(content))


def recorded(promotion: Promotion, *, key_id: str) -> SignedImage | Refused:
    """Name the image that a rollback returns to, as the ledger recorded it."""
    if promotion.target is None:
        return Refused(f"{promotion.service} has no image to return to: name one with --to")
    return SignedImage(promotion.target, promotion.model, key_id, "")


def remember(verified: VerifiedImage, version_key: str, *, registry: ImageRegistry) -> None:
    """Make a verified image its model version's image; only what was verified is recalled."""
    repository, digest = verified.ref.repository, verified.ref.digest
    content = registry.manifest(repository, digest.value)
    if content is None:
        hint = "its manifest is gone: promote the version again with --rebuild"
        raise NotFoundError("remember the image", str(verified.ref), hint)
    registry.push_manifest(repository, content, IMAGE_MANIFEST, tag=version_key)
