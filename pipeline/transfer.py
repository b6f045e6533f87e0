"""Moves what is in one repository to another: mounted on one host, streamed between hosts.

A copy is the same bytes under the same digest, with everything that is attached to it. Blobs go
first, then the image's manifest, then what refers to it: no registry ever has a manifest of which
a part is missing, and until its statements are there nobody trusts the image.
"""

import logging
from dataclasses import dataclass
from functools import partial

from pipeline.domain.content import Content
from pipeline.domain.oci import EMPTY_JSON, IMAGE_MANIFEST, SIGSTORE_BUNDLE, Descriptor
from pipeline.domain.references import Digest, ImageRef
from pipeline.domain.serving import Blob
from pipeline.errors import ConflictError, CorruptedError, NotFoundError
from pipeline.image.manifest import Manifest, parse_manifest
from pipeline.image.referrers import legacy_tags
from pipeline.ports import ImageRegistry

MAX_REFERRERS = 100
"""Referrers that are copied with one image, those of referrers included."""
_MAX_BLOBS = 128  # of one manifest: the layers that engines mount at most, and the configuration
_LARGEST_ATTACHED = 256 << 20  # bytes that one referrer may carry; an SBOM has some megabytes
_ATTEMPTS = 5
_BUNDLES = {SIGSTORE_BUNDLE, EMPTY_JSON, None}  # older writers name the configuration's type here
_Damaged = (CorruptedError, NotFoundError)
_log = logging.getLogger(__name__)


def copy_blob(
    blob: Descriptor,
    source: str,
    repository: str,
    *,
    registry: ImageRegistry,
    sources: ImageRegistry | None = None,
) -> Blob:
    """Put a blob of ``source`` into ``repository``; its bytes move only where they must.

    ``sources`` is the registry that holds ``source``, where that is another one.
    """
    if there := registry.blob(repository, blob.digest):
        return there
    if sources is None and (mounted := registry.mount(repository, blob.digest, source)):
        return mounted
    read = partial((sources or registry).read_blob, source, blob.digest)
    return registry.push_blob(repository, Content(read, blob.size, blob.digest))


def copy_image(
    image: ImageRef,
    repository: str,
    *,
    registry: ImageRegistry,
    sources: ImageRegistry | None = None,
) -> ImageRef:
    """Put an image into another repository under its own digest, its statements with it.

    Foreign referrers come along as they are, trusted no more than before; one that is damaged or
    oversized is left behind, and told. Safe to repeat: what is there is not moved again.

    Raises
    ------
    NotFoundError
        Where the image, or a layer of it, is not there.
    CorruptedError
        Where it is no image manifest, or has more layers than an engine mounts.

    """
    copy = _Copy(image.repository, repository, registry, sources)
    content = copy.read(image.digest.value)
    if content is None:
        hint = "its repository has no such manifest: `laurel list` shows what was built"
        raise NotFoundError("copy an image", str(image), hint)
    copy.put(content, parse_manifest(content))
    copy.put_attached(image.digest)
    return ImageRef(repository, image.digest)


@dataclass(frozen=True, slots=True)
class _Copy:
    """One copy on its way from ``source`` to ``repository``."""

    source: str
    repository: str
    registry: ImageRegistry
    sources: ImageRegistry | None

    @property
    def origin(self) -> ImageRegistry:
        return self.sources or self.registry

    def read(self, reference: str) -> bytes | None:
        """Read a manifest; one that is named by its digest is hashed here again."""
        content = self.origin.manifest(self.source, reference)
        wrong = content is not None and Digest.of(content).value != reference
        if reference.startswith("sha256:") and wrong:
            raise CorruptedError("copy a manifest", reference, "the registry gave other bytes")
        return content

    def put(self, content: bytes, manifest: Manifest, tag: str | None = None) -> None:
        """Put what a manifest names, then the manifest, byte for byte."""
        blobs = (*manifest.layers, manifest.config)
        if len(blobs) > _MAX_BLOBS:
            raise CorruptedError(
                "copy an image",
                Digest.of(content).value,
                f"it names {len(blobs)} blobs, allowed are {_MAX_BLOBS}",
            )
        for blob in blobs:
            copy_blob(
                blob, self.source, self.repository, registry=self.registry, sources=self.sources
            )
        self.registry.push_manifest(self.repository, content, IMAGE_MANIFEST, tag=tag)

    def put_attached(self, image: Digest) -> None:
        """Put all that refers to the image, what refers to that, and cosign's former tags."""
        waiting, seen = [image], {image}
        while waiting:
            subject = waiting.pop()
            listed = [each for each in self._listed(subject) if each.digest not in seen]
            room = MAX_REFERRERS + 1 - len(seen)  # the image itself is among those seen
            if len(listed) > room:
                _log.warning("%d referrers of %s are not copied", len(listed) - room, subject)
            seen |= {each.digest for each in listed[:room]}
            waiting += self._put_referrers(subject, listed[:room])
        for tag in legacy_tags(image):
            self._put_tagged(tag)

    def _listed(self, subject: Digest) -> list[Descriptor]:
        """List a manifest's referrers; bundles first, so that no crowd of others displaces them."""
        listed = self.origin.referrers(self.source, subject)
        return sorted(listed, key=lambda each: each.artifact_type not in _BUNDLES)

    def _put_referrers(self, subject: Digest, listed: list[Descriptor]) -> list[Digest]:
        """Put referrers and see them listed; return those that could be copied.

        Registries without a referrers API keep the list in a tag, which is read, changed and
        written, so that of two writers one may undo the other.
        """
        sound = {each.digest: read for each in listed if (read := self._sound(each, subject))}
        for _ in range(_ATTEMPTS):
            there = {each.digest for each in self.registry.referrers(self.repository, subject)}
            missing = [digest for digest in sound if digest not in there]
            if not missing:
                return list(sound)
            for digest in missing:
                if not self._put_sound(*sound[digest]):
                    del sound[digest]
        raise ConflictError(
            "copy an image's statements",
            f"{self.repository}@{subject}",
            "other writers keep replacing its list of referrers",
        )

    def _sound(self, listed: Descriptor, subject: Digest) -> tuple[bytes, Manifest] | None:
        """Read a referrer that can be copied; ``None`` for one that would not arrive whole."""
        try:
            content = self.read(listed.digest.value)
            manifest = None if content is None else parse_manifest(content)
            if content is None or manifest is None or manifest.subject is None:
                raise CorruptedError("copy a referrer", listed.digest.value, "it is none")
            if manifest.subject.digest != subject:
                raise CorruptedError("copy a referrer", listed.digest.value, "of another image")
            self._require_whole(manifest)
        except _Damaged as error:
            _log.warning("left behind: %s", error)
            return None
        return content, manifest

    def _require_whole(self, manifest: Manifest) -> None:
        """Refuse what is too large or not there: it may not stop the copy of the image."""
        blobs = (*manifest.layers, manifest.config)
        size = sum(blob.size for blob in blobs)
        if size > _LARGEST_ATTACHED or len(blobs) > _MAX_BLOBS:
            raise CorruptedError("copy a referrer", f"{len(blobs)} blobs", f"of {size} bytes")
        for blob in blobs:
            there = self.origin.blob(self.source, blob.digest)
            if there is None or there.size != blob.size:
                raise NotFoundError("copy a referrer", blob.digest.value, "it is not there")

    def _put_tagged(self, tag: str) -> None:
        """Put what cosign attached by a tag, unless something else stands there under it."""
        content = self.read(tag)
        if content is None or self.registry.manifest(self.repository, tag) is not None:
            return
        try:
            manifest = parse_manifest(content)
            self._require_whole(manifest)
        except _Damaged as error:
            _log.warning("left behind: %s: %s", tag, error)
        else:
            self._put_sound(content, manifest, tag)

    def _put_sound(self, content: bytes, manifest: Manifest, tag: str | None = None) -> bool:
        """Put a referrer, unless its bytes turn out to be damaged on the way."""
        try:
            self.put(content, manifest, tag)
        except _Damaged as error:
            _log.warning("left behind: %s", error)
            return False
        return True
