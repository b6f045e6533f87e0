"""An image layout and remote registries as one: a repository's name says where it is."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.domain.content import Content
from pipeline.domain.oci import Descriptor
from pipeline.domain.references import Digest, names_registry
from pipeline.domain.serving import Blob
from pipeline.ports import ImageRegistry


class Registries:
    """``ml/fraud`` is in the layout, ``registry.example.com/ml/fraud`` on that host.

    Implements :class:`pipeline.ports.ImageRegistry`; so images move between the two as between any
    repositories.
    """

    def __init__(self, layout: ImageRegistry, remote: ImageRegistry) -> None:
        self._layout = layout
        self._remote = remote

    def blob(self, repository: str, digest: Digest) -> Blob | None:
        """Tell whether a blob is there."""
        return self._of(repository).blob(repository, digest)

    def read_blob(self, repository: str, digest: Digest) -> Iterator[bytes]:
        """Stream a blob."""
        return self._of(repository).read_blob(repository, digest)

    def push_blob(self, repository: str, content: Content) -> Blob:
        """Store bytes under the digest they turn out to have."""
        return self._of(repository).push_blob(repository, content)

    def push_file(self, repository: str, path: Path, digest: Digest) -> Blob:
        """Store a local file."""
        return self._of(repository).push_file(repository, path, digest)

    def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
        """Take a blob over within one of the two; from the other its bytes have to move."""
        registry = self._of(repository)
        return registry.mount(repository, digest, source) if registry is self._of(source) else None

    def manifest(self, repository: str, reference: str) -> bytes | None:
        """Read a manifest by digest or tag."""
        return self._of(repository).manifest(repository, reference)

    def push_manifest(
        self, repository: str, content: bytes, media_type: str, *, tag: str | None = None
    ) -> Digest:
        """Store a manifest, and point ``tag`` at it if given."""
        return self._of(repository).push_manifest(repository, content, media_type, tag=tag)

    def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        """List the manifests whose ``subject`` is this digest."""
        return self._of(repository).referrers(repository, digest)

    def tags(self, repository: str) -> tuple[str, ...]:
        """List the repository's tags."""
        return self._of(repository).tags(repository)

    def delete(self, repository: str, digest: Digest) -> None:
        """Remove a manifest with every tag that names it."""
        self._of(repository).delete(repository, digest)

    def _of(self, repository: str) -> ImageRegistry:
        return self._remote if names_registry(repository) else self._layout
