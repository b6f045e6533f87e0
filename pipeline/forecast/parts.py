"""Images that are there already, and what of them a repository lacks."""

from pipeline.domain.evidence import ResolvedModel
from pipeline.domain.oci import Descriptor
from pipeline.domain.plan import Plan
from pipeline.domain.references import ImageRef
from pipeline.domain.serving import ServiceState
from pipeline.errors import CorruptedError
from pipeline.forecast.values import Part
from pipeline.image.manifest import Manifest, parse_manifest
from pipeline.image.version_key import repository_of, version_key
from pipeline.ports import ImageRegistry
from pipeline.steps.recall import named


def recalled(resolved: ResolvedModel, plan: Plan, images: ImageRegistry) -> ImageRef | None:
    """Find the image that was made of this version before, here or where it is copied from."""
    key = version_key(resolved, plan)
    for repository in (repository_of(plan), plan.copy_from):
        if repository and (image := named(key, resolved.model, repository, images)):
            return image
    return None


def there(image: ImageRef, plan: Plan, images: ImageRegistry) -> tuple[Part, ...]:
    """List the layers of an image that exists, and which of them the repository lacks."""
    manifest = _manifest(image, images)
    layers = manifest.layers if manifest is not None else ()
    return tuple(
        _layer(number, layer, repository_of(plan), images)
        for number, layer in enumerate(layers, start=1)
    )


def _layer(number: int, layer: Descriptor, repository: str, images: ImageRegistry) -> Part:
    moves = images.blob(repository, layer.digest) is None
    return Part(f"layer {number}", moves, layer.size, layer.digest.short)


def labels_of(state: ServiceState, images: ImageRegistry) -> dict[str, str]:
    """Read what the serving image says of itself."""
    manifest = None if state.stable is None else _manifest(state.stable.image, images)
    return {} if manifest is None else manifest.annotations


def _manifest(image: ImageRef, images: ImageRegistry) -> Manifest | None:
    content = images.manifest(image.repository, image.digest.value)
    try:
        return None if content is None else parse_manifest(content)
    except CorruptedError:
        return None
