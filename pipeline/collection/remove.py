"""Takes an image out of its repository with everything that is attached to it.

Whoever can push can write what a list of referrers or a tag says. So a manifest goes only where it
says itself that it belongs to the image; else one could have another image removed.
"""

from contextlib import suppress

from pipeline.domain.references import Digest, ImageRef
from pipeline.errors import CorruptedError
from pipeline.image.manifest import Manifest, parse_index, parse_manifest
from pipeline.image.referrers import fallback_tag, legacy_tags
from pipeline.ports import ImageRegistry

MAX_ATTACHED = 1000
"""Referrers that go with one image, those of referrers included."""
_COSIGNS = (
    "application/vnd.dev.cosign.",
    "application/vnd.dsse.",
    "application/vnd.cyclonedx",
    "application/vnd.syft",
    "application/spdx",
    "text/spdx",
)
"""How the media types of all that cosign attaches by tags begin."""


def remove_image(image: ImageRef, *, registry: ImageRegistry) -> None:
    """Remove an image, its tags, its referrers and cosign's tags; what is gone already is fine.

    The image goes first: whoever asks for its version meanwhile finds none and builds one, where
    one without a signature would be refused. A crash leaves at most referrers of nothing.
    """
    attached = _attached(image, registry)
    registry.delete(image.repository, image.digest)
    for digest in reversed(attached):
        registry.delete(image.repository, digest)
    for subject in (image.digest, *attached):
        _remove_list(image.repository, subject, set(attached), registry)
        for tag in legacy_tags(subject):
            _remove_cosigns(image.repository, tag, registry)


def _attached(image: ImageRef, registry: ImageRegistry) -> list[Digest]:
    """List what says of itself that it belongs to the image, or to what does."""
    found: list[Digest] = []
    waiting = [image.digest]
    while waiting and len(found) < MAX_ATTACHED:
        subject = waiting.pop()
        for listed in registry.referrers(image.repository, subject)[:MAX_ATTACHED]:
            manifest = _manifest(registry.manifest(image.repository, listed.digest.value))
            about = None if manifest is None else manifest.subject
            if about is not None and about.digest == subject and listed.digest not in found:
                found.append(listed.digest)
                waiting.append(listed.digest)
    return found


def _remove_list(
    repository: str, subject: Digest, attached: set[Digest], registry: ImageRegistry
) -> None:
    """Remove the index that lists referrers, where it lists nothing else."""
    content = registry.manifest(repository, fallback_tag(subject))
    if content is None:
        return
    with suppress(CorruptedError):
        if {each.digest for each in parse_index(content)} <= attached:
            registry.delete(repository, Digest.of(content))


def _remove_cosigns(repository: str, tag: str, registry: ImageRegistry) -> None:
    """Remove what stands under one of cosign's tags, where it is cosign's."""
    content = registry.manifest(repository, tag)
    manifest = _manifest(content)
    if content is None or manifest is None:
        return
    types = [layer.media_type for layer in manifest.layers]
    if types and all(type_.startswith(_COSIGNS) for type_ in types):
        registry.delete(repository, Digest.of(content))


def _manifest(content: bytes | None) -> Manifest | None:
    with suppress(CorruptedError):
        return None if content is None else parse_manifest(content)
    return None
