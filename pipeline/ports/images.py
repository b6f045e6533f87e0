"""What makes, keeps, signs and tries images."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from pipeline.domain.content import Content
from pipeline.domain.evidence import BuiltImage, Lock, Refused
from pipeline.domain.oci import Base, Descriptor, Layer
from pipeline.domain.plan import EnvVar
from pipeline.domain.recipe import Made, Recipe
from pipeline.domain.references import Digest
from pipeline.domain.serving import Blob, Readiness


class LockResolver(Protocol):
    """Turns requirements into a hashed lock, and a lock into an installed environment."""

    def resolve(
        self,
        requirements: Iterable[str],
        *,
        runtime: str,
        python_version: str,
        fresh: bool = False,
    ) -> Lock | Refused:
        """Resolve to wheels with hashes; a clash is refused in one sentence naming packages.

        ``fresh`` asks for what the package index has now, whatever was answered before.
        """

    def install(self, lock: Lock, target: Path, *, python: Path) -> None:
        """Install the lock's wheels into ``target`` (site-packages), compiled, reproducibly."""


class ImageRegistry(Protocol):
    """An OCI registry or image layout; manifests are raw bytes, blobs are streams."""

    def blob(self, repository: str, digest: Digest) -> Blob | None:
        """Tell whether a blob is there."""

    def read_blob(self, repository: str, digest: Digest) -> Iterator[bytes]:
        """Stream a blob; ``CorruptedError`` at its end where the bytes are not the digest's."""

    def push_blob(self, repository: str, content: Content) -> Blob:
        """Store bytes under the digest they turn out to have; there already: nothing changes.

        ``CorruptedError`` where they are not as many, or not those, that ``content`` says.
        """

    def push_file(self, repository: str, path: Path, digest: Digest) -> Blob:
        """Store a local file, linked where that is possible; ``CorruptedError`` if it changed."""

    def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
        """Take a blob over from another repository; ``None`` where that would move its bytes."""

    def manifest(self, repository: str, reference: str) -> bytes | None:
        """Read a manifest by digest or tag; its bytes are checked against a digest."""

    def push_manifest(
        self, repository: str, content: bytes, media_type: str, *, tag: str | None = None
    ) -> Digest:
        """Store a manifest, and point ``tag`` at it if given."""

    def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        """List the manifests whose ``subject`` is this digest."""

    def tags(self, repository: str) -> tuple[str, ...]:
        """List the repository's tags, sorted; one that was never pushed to has none."""

    def delete(self, repository: str, digest: Digest) -> None:
        """Remove a manifest with every tag that names it; not there: nothing changes.

        Blobs that nothing names any more are removed by the registry, in its own time.
        """


class BaseImages(Protocol):
    """Makes the base that images stand on available in the registry."""

    def provide(
        self,
        base: str,
        repository: str,
        *,
        platform: str,
        python_version: str,
        registry: ImageRegistry,
    ) -> Base | Refused:
        """Put the base's layers into ``repository``; refused without that platform or Python."""


class Environments(Protocol):
    """Makes a lock's environment available in the registry: one layer per lock."""

    def provide(self, lock: Lock, repository: str, *, registry: ImageRegistry) -> Layer:
        """Put the installed environment into ``repository``, made anew only if nobody has it."""


class ImageBuilder(Protocol):
    """Puts an image together: Laurel's own layers, or a Docker Engine."""

    def build(self, recipe: Recipe, *, registry: ImageRegistry) -> Made | Refused:
        """Make the image and push it, untagged; the manifest last."""


class Signer(Protocol):
    """A key that signs statements about images."""

    @property
    def key_id(self) -> str:
        """Hex SHA-256 of the public key's SPKI DER."""

    def sign_statement(self, statement: bytes) -> bytes:
        """Wrap an in-toto statement into a signed v0.3 bundle, verified before it is returned."""


class RunningModel(Protocol):
    """A model server that smoke started in isolation."""

    def readiness(self) -> Readiness:
        """Ask once whether it is ready; ``FAILED`` when its process has ended."""

    def invoke(self, body: bytes) -> tuple[int, bytes]:
        """POST ``body`` to ``/invocations``; return status and at most 64 KiB of the answer."""

    def output(self) -> str:
        """Return the last lines that it printed, for the person who must mend it."""


class ModelRunner(Protocol):
    """Runs an image where its code can read nothing of Laurel's and reach no network (law 9)."""

    def run(
        self, image: BuiltImage, env: tuple[EnvVar, ...]
    ) -> AbstractContextManager[RunningModel]:
        """Start the image; leaving the context ends it and everything it started."""
