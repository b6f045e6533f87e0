"""An image registry in memory: the port's promises kept, and nothing else."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from pipeline.domain.content import Content
from pipeline.domain.oci import Descriptor
from pipeline.domain.references import Digest
from pipeline.domain.serving import Blob
from pipeline.errors import CorruptedError, NotFoundError
from pipeline.image.blob_file import checked
from pipeline.image.referrers import as_referrer


class InMemoryRegistry:
    """Repositories of blobs, manifests, tags and referrers; ``requests`` counts what was asked."""

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, Digest], bytes] = {}
        self.manifests: dict[tuple[str, Digest], bytes] = {}
        self.tagged: dict[tuple[str, str], Digest] = {}
        self.listed: dict[tuple[str, Digest], list[Descriptor]] = defaultdict(list)
        self.requests = 0

    def blob(self, repository: str, digest: Digest) -> Blob | None:
        self.requests += 1
        content = self.blobs.get((repository, digest))
        return None if content is None else Blob(digest, len(content))

    def read_blob(self, repository: str, digest: Digest) -> Iterator[bytes]:
        self.requests += 1
        content = self.blobs.get((repository, digest))
        if content is None:
            raise NotFoundError("read a blob", f"{repository}@{digest}", "push it first")
        middle = len(content) // 2
        yield content[:middle]
        yield content[middle:]

    def push_blob(self, repository: str, content: Content) -> Blob:
        whole = b"".join(checked(content))
        digest = Digest.of(whole)
        self.blobs[repository, digest] = whole
        return Blob(digest, len(whole))

    def push_file(self, repository: str, path: Path, digest: Digest) -> Blob:
        content = path.read_bytes()
        if Digest.of(content) != digest:
            raise CorruptedError("store a file", str(path), f"it is not {digest}")
        return self.push_blob(repository, Content.of(content))

    def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
        self.requests += 1
        content = self.blobs.get((source, digest))
        return None if content is None else self.push_blob(repository, Content.of(content))

    def manifest(self, repository: str, reference: str) -> bytes | None:
        self.requests += 1
        tagged = self.tagged.get((repository, reference))
        if tagged is None and not reference.startswith("sha256:"):
            return None
        return self.manifests.get((repository, tagged or Digest(reference)))

    def push_manifest(
        self, repository: str, content: bytes, media_type: str, *, tag: str | None = None
    ) -> Digest:
        digest = Digest.of(content)
        self.manifests[repository, digest] = content
        if tag is not None:
            self.tagged[repository, tag] = digest
        about = as_referrer(content, media_type)
        if about is not None:
            self.list_referrer(repository, *about)
        return digest

    def list_referrer(self, repository: str, subject: Digest, referrer: Descriptor) -> None:
        """List a referrer, whatever its manifest says: whoever can push can do so."""
        others = [d for d in self.listed[repository, subject] if d.digest != referrer.digest]
        self.listed[repository, subject] = [*others, referrer]

    def tags(self, repository: str) -> tuple[str, ...]:
        self.requests += 1
        return tuple(sorted(tag for name, tag in self.tagged if name == repository))

    def delete(self, repository: str, digest: Digest) -> None:
        self.requests += 1
        self.manifests.pop((repository, digest), None)
        gone = {key for key, named in self.tagged.items() if named == digest}
        for key in gone:
            if key[0] == repository:
                del self.tagged[key]

    def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        self.requests += 1
        return tuple(self.listed[repository, digest])
