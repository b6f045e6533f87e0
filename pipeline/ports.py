"""One small Protocol per neighbour: what the pipeline needs of the world, and nothing more.

Adapters in ``pipeline.adapters`` implement them; ``pipeline.wiring`` alone puts the two together.
Every method raises only errors of :mod:`pipeline.errors`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from pipeline.domain.content import Content
from pipeline.domain.evidence import (
    BuiltImage,
    Lock,
    Refused,
    Stopped,
    StoredFile,
    Unknown,
    VerifiedImage,
)
from pipeline.domain.oci import Base, Descriptor, Layer
from pipeline.domain.plan import EnvVar, Plan
from pipeline.domain.promotion import Control
from pipeline.domain.recipe import Made, Recipe
from pipeline.domain.references import Alias, Digest, ImageRef, ModelVersion
from pipeline.domain.registry import RegisteredVersion
from pipeline.domain.serving import Blob, Hold, Readiness, RequestTotals, ServiceState


class Clock(Protocol):
    """The time of day and the passing of time."""

    def now(self) -> datetime:
        """Tell the time, in UTC."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class ModelRegistry(Protocol):
    """MLflow's registered models: the truth about aliases (law 1)."""

    def alias(self, alias: Alias) -> int | None:
        """Read the version that an alias names now; ``None`` where there is no such alias."""

    def aliases(self, workspace: str) -> dict[tuple[str, str], int]:
        """Read every alias of every model: ``{(model, alias): version}``."""

    def version(self, model: ModelVersion) -> RegisteredVersion:
        """Read one version; ``NotFoundError`` where it was deleted."""

    def set_tags(self, model: ModelVersion, tags: dict[str, str]) -> None:
        """Write tags on a version; the same values again change nothing."""


class ArtifactStore(Protocol):
    """Where a model version's files lie."""

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...] | Refused:
        """List every file below the root, sorted by path; links and odd names are refused."""

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        """Stream one file; ``CorruptedError`` where its length is not the listed one."""


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


class ServingTarget(Protocol):
    """What an image is deployed to; every call may be repeated, an older sequence is refused."""

    def platforms(self, service: str) -> frozenset[str]:
        """Name the platforms whose images can run there: ``{"linux/amd64"}``."""

    def objection(self, plan: Plan) -> str | None:
        """Say in a clause, with the fix, why this service cannot be rolled out there at all.

        Asked before anything is built or changed, and it changes nothing: rights, mode, settings.
        """

    def observe(self, service: str) -> ServiceState:
        """Read what serves now."""

    def deploy(
        self, plan: Plan, image: VerifiedImage, sequence: int, *, at_once: bool = False
    ) -> str:
        """Start a revision of this image at 0 %, or find the one that already runs; its name.

        ``at_once``: it will take everything without steps, as what served before does.
        """

    def differences(self, plan: Plan, image: VerifiedImage) -> tuple[str, ...]:
        """List what ``deploy`` would change of a service that somebody else made, a line each."""

    def readiness(self, service: str, revision: str, *, wait: float = 0.0) -> tuple[Readiness, str]:
        """Tell whether a revision can take traffic, and why not: its own last words included.

        It answers as soon as the revision can, or never will, and after ``wait`` seconds at most.
        """

    def ask(self, service: str, revision: str, body: bytes) -> tuple[int, bytes]:
        """POST ``body`` to a revision's ``/invocations``, whatever its share of the traffic is.

        Returns the status and at most 64 KiB of the answer.
        """

    def shift(self, service: str, revision: str, percent: int, sequence: int) -> None:
        """Give the canary this share, and return when it was observed."""

    def complete(self, service: str, revision: str, sequence: int) -> None:
        """Give the revision everything; what served before stays warm for a rollback."""

    def restore(self, service: str, sequence: int) -> None:
        """Give stable everything back and remove the canary, and whatever was changed by hand."""

    def hold(self, service: str, hold: Hold | None) -> None:
        """Write on the service that it is held, or no longer; a service not there is left so."""

    def adopt(self, service: str, image: VerifiedImage) -> None:
        """Take this image, which somebody put there by hand, for what should be stable.

        ``ConflictError`` where another one is there by now.
        """

    def keep(self) -> None:
        """Bring what serves in line with what was asked; called at start and every two seconds."""


class Metrics(Protocol):
    """Request counters per revision."""

    def read(self, service: str, revisions: Iterable[str]) -> dict[str, dict[str, RequestTotals]]:
        """Read ``{revision: {series: totals}}``; ``UnavailableError`` where nobody answers."""


class Journal(Protocol):
    """What a running promotion notes in the ledger and asks of it."""

    def note(self, kind: str, data: dict[str, Any]) -> None:
        """Append an event."""

    def notes(self, kind: str) -> list[dict[str, Any]]:
        """Read this promotion's earlier events of one kind, oldest first."""

    def control(self) -> Control | None:
        """Read the decision that ends this promotion early, if one was made."""

    def waiting(self, for_: str | None, until: datetime | None = None) -> None:
        """Say what the promotion waits for now, ``None`` for nothing; the same again is no news."""


StillWanted = Callable[[], Stopped | Unknown | None]
"""Re-reads the alias: ``None`` while it asks for this promotion, ``Stopped`` when it moved on,
``Unknown`` while MLflow cannot be read (then no percent is raised)."""

__all__ = [
    "ArtifactStore",
    "BaseImages",
    "Clock",
    "Environments",
    "ImageBuilder",
    "ImageRef",
    "ImageRegistry",
    "Journal",
    "LockResolver",
    "Metrics",
    "ModelRegistry",
    "ModelRunner",
    "RunningModel",
    "ServingTarget",
    "Signer",
    "StillWanted",
]
