"""What Laurel does in a registry, done once with a probe of a few bytes, which is removed again."""

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pipeline.doctor.finding import Finding, bad, ok, warn
from pipeline.domain.content import Content
from pipeline.domain.oci import IMAGE_MANIFEST, LAYER, Descriptor
from pipeline.domain.references import Digest
from pipeline.errors import LaurelError, StepError
from pipeline.image.manifest import EMPTY, EMPTY_CONFIG, Manifest
from pipeline.image.referrers import referrer_manifest
from pipeline.ports import ImageRegistry

CHECK = "registry"
_KIND = "application/vnd.dev.laurel.doctor.v1"


def examine(images: ImageRegistry, repositories: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Try each repository; beside each stands the one that its layers are taken over from."""
    for repository, source in repositories:
        yield from _Probe(images, repository).tried(source)


@dataclass
class _Probe:
    """A few bytes that no image has, in one repository, and what was put there so far."""

    images: ImageRegistry
    repository: str
    bytes: bytes = field(default_factory=lambda: secrets.token_bytes(64))
    tag: str = field(default_factory=lambda: f"laurel-doctor-{secrets.token_hex(4)}")
    left: list[Digest] = field(default_factory=list)

    def tried(self, source: str) -> Iterator[Finding]:
        check = f"{CHECK} {self.repository}"
        try:
            subject = self._push("a")
        except LaurelError as error:
            yield bad(check, f"cannot push: {_said(error)}", _advice(error))
            return
        try:
            yield from self._referrers(check, subject)
            yield from self._tags(check)
            if source and source != self.repository:
                yield from self._mount(check, source)
        finally:
            cleaned = self._cleaned()
        if cleaned is None:
            yield ok(check, "takes and removes images, and lists what is attached to them")
        else:
            yield warn(
                check,
                f"takes images and removes none ({_said(cleaned)}): a probe of a few bytes stays, "
                "and laurel gc cannot work",
                "allow deletion (distribution: storage.delete.enabled: true) and give Laurel's "
                "login the right to it",
            )

    def _push(self, name: str) -> Descriptor:
        for content in (self.bytes, EMPTY_CONFIG):
            self.images.push_blob(self.repository, Content.of(content))
        layer = Descriptor(LAYER, Digest.of(self.bytes), len(self.bytes))
        content = Manifest(EMPTY, (layer,), {_KIND: name}, artifact_type=_KIND).to_bytes()
        digest = self.images.push_manifest(self.repository, content, IMAGE_MANIFEST, tag=self.tag)
        self.left.append(digest)
        return Descriptor(IMAGE_MANIFEST, digest, len(content))

    def _referrers(self, check: str, subject: Descriptor) -> Iterator[Finding]:
        layer = Descriptor(_KIND, Digest.of(self.bytes), len(self.bytes))
        try:
            content = referrer_manifest(subject, layer, {}).to_bytes()
            digest = self.images.push_manifest(self.repository, content, IMAGE_MANIFEST)
            self.left.insert(0, digest)
            listed = self.images.referrers(self.repository, subject.digest)
        except LaurelError as error:
            yield bad(check, f"takes no signatures: {_said(error)}", _advice(error))
            return
        if digest not in [each.digest for each in listed]:
            yield bad(
                check,
                "does not list what is attached to an image: signatures would not be found",
                "upgrade the registry to one with the referrers API, or let tags be moved there",
            )

    def _tags(self, check: str) -> Iterator[Finding]:
        try:
            self._push("b")
        except LaurelError as error:
            yield bad(
                check,
                f"a tag that stands cannot be moved: {_said(error)}",
                "let the registry's tags be moved in this repository (immutable tags off): Laurel "
                "deploys by digest, and moves a tag at --rebuild and where signatures are listed",
            )

    def _mount(self, check: str, source: str) -> Iterator[Finding]:
        content = secrets.token_bytes(64)
        try:
            blob = self.images.push_blob(source, Content.of(content))
            taken = self.images.mount(self.repository, blob.digest, source)
        except LaurelError as error:
            yield warn(check, f"nothing can be put into {source}: {_said(error)}", _advice(error))
            return
        if taken is None:
            yield warn(
                check,
                f"takes no layers over from {source}: their bytes are read and sent again",
                f"give Laurel's login the right to pull from {source}, on the same registry",
            )

    def _cleaned(self) -> LaurelError | None:
        failed = None
        for digest in self.left:
            try:
                self.images.delete(self.repository, digest)
            except LaurelError as error:
                failed = error
        return failed


def _said(error: LaurelError) -> str:
    return f"{error.attempted}: {error.hint}" if isinstance(error, StepError) else str(error)


def _advice(error: LaurelError) -> str:
    if isinstance(error, StepError) and "log in" not in error.hint:
        return f"look at the registry; docker login {error.subject.partition('/')[0]} where it asks"
    return "docker login, as who runs Laurel"
