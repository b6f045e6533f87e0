"""Names of things, parsed once at the edge: digests, images, model versions, aliases."""

import hashlib
import re
from dataclasses import dataclass
from typing import Self

from pipeline.errors import InvalidReferenceError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_REPOSITORY = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*\Z"
)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9]+(?:[.-]+[A-Za-z0-9]+)*|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?\Z")
_VERSION = re.compile(r"[0-9]{1,18}\Z")
_PLAIN_SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*\Z")
_HASHED_SLUG = re.compile(r".*-x[0-9a-f]{20}\Z")
_DNS_LABEL = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_SLUG_LENGTH = 40
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://(?:([^/?#]*)@)?)?([^?#]*)")
_CONTAINERS = frozenset({"abfs", "abfss", "b2", "dbfs", "r2", "wasb", "wasbs"})
_DOCKER_HUB = "docker.io"


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256 digest in OCI's form, ``sha256:<64 hex digits>``.

    Raises
    ------
    InvalidReferenceError
        For anything else, upper-case digits and other algorithms included.

    """

    value: str

    def __post_init__(self) -> None:
        if not _DIGEST.match(self.value):
            raise InvalidReferenceError(
                f"{self.value[:80]!r} is not a digest: write sha256: and 64 lower-case hex digits"
            )

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Digest these bytes."""
        return cls("sha256:" + hashlib.sha256(content).hexdigest())

    @property
    def hex(self) -> str:
        """The 64 digits alone."""
        return self.value.removeprefix("sha256:")

    @property
    def short(self) -> str:
        """Twelve digits for people's eyes; never a reference."""
        return self.hex[:12]

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image by digest, ``repository@sha256:…``: nothing deploys by tag (law 2)."""

    repository: str
    digest: Digest

    def __post_init__(self) -> None:
        require_repository(self.repository)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``repository@sha256:…``; a tag is refused."""
        repository, at, digest = text.partition("@")
        if not at:
            raise InvalidReferenceError(
                f"{text[:200]!r} names no digest: write repository@sha256:…; tags move"
            )
        return cls(repository, Digest(digest))

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True, slots=True)
class BaseRef:
    """What images stand on, by digest: ``python:3.11-slim@sha256:…``; the tag is for people.

    ``name`` is the repository as written. A name without a registry's host is Docker Hub's, and
    one without an organisation its library's, as docker reads them.
    """

    name: str
    digest: Digest

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``NAME[:TAG]@sha256:…``; a tag alone is refused."""
        named, at, digest = text.partition("@")
        if not at:
            raise InvalidReferenceError(
                f"{text[:200]!r} names no digest, and tags move: write {named[:200]}@sha256:… "
                f"(`crane digest {named[:200]}` prints it) or host"
            )
        name, colon, tag = named.rpartition(":")
        if not colon or "/" in tag:  # that colon stands before a port
            return cls(require_repository(named), Digest(digest))
        if not _TAG.match(tag):
            raise InvalidReferenceError(f"{tag[:200]!r} is not a tag: use letters, digits, . _ -")
        return cls(require_repository(name), Digest(digest))

    @property
    def repository(self) -> str:
        """The whole name, registry included."""
        host, _, path = self.name.partition("/")
        if not names_registry(self.name):
            host, path = _DOCKER_HUB, self.name
        library = host == _DOCKER_HUB and "/" not in path
        return f"{host}/library/{path}" if library else f"{host}/{path}"

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}"


def require_repository(name: str) -> str:
    """Return ``name`` if it is an OCI repository name (distribution-spec), else raise."""
    host, _, path = name.partition("/")
    named_host = names_registry(name)
    if not _REPOSITORY.match(path if named_host else name) or (
        named_host and not _HOST.match(host)
    ):
        raise InvalidReferenceError(
            f"{name[:200]!r} is not a repository name: "
            "use lower-case letters, digits and single . _ - between them"
        )
    return name


def names_registry(name: str) -> bool:
    """Tell whether a repository's name begins with a registry's host, as docker tells it."""
    host, slash, _ = name.partition("/")
    return bool(slash) and (":" in host or "." in host or host == "localhost")


@dataclass(frozen=True, slots=True, order=True)
class ModelVersion:
    """One version of a model registered in MLflow.

    ``workspace`` is MLflow's workspace, ``""`` where workspaces are off.
    """

    name: str
    version: int
    workspace: str = ""

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, slots=True, order=True)
class Alias:
    """A movable name on a registered model; case matters."""

    model: str
    name: str
    workspace: str = ""

    def __str__(self) -> str:
        return f"{self.model}@{self.name}"


def parse_version(text: str | int) -> int:
    """Read a version as MLflow's callers write it: ``"2"``, ``"02"``, ``2``."""
    if not _VERSION.match(str(text)) or int(text) == 0:
        raise InvalidReferenceError(
            f"{str(text)[:40]!r} is not a model version: write a whole number from 1"
        )
    return int(text)


def require_service_name(name: str) -> str:
    """Return ``name`` if it is a DNS label (it names an InferenceService), else raise."""
    if not _DNS_LABEL.match(name):
        raise InvalidReferenceError(
            f"{name[:80]!r} is not a service name: use a DNS label (lower-case letters, digits, -)"
        )
    return name


def model_slug(name: str) -> str:
    """Write a model's name so that URLs, repositories and Kubernetes take it; injective.

    Plain names stay as they are. Every other one keeps what it can and ends in ``-x`` and 80 bits
    of its SHA-256; a plain name that looks like that is hashed too, so no two names share a slug.
    """
    if _PLAIN_SLUG.match(name) and not _HASHED_SLUG.match(name) and len(name) <= _SLUG_LENGTH:
        return name
    kept = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_SLUG_LENGTH].strip("-")
    return f"{kept or 'model'}-x{hashlib.sha256(name.encode()).hexdigest()[:20]}"


def without_credentials(uri: str) -> str:
    """Write a URI as strangers may read it: without user, password, query and fragment.

    What some stores write before the ``@`` is a container and stays; a path has nothing to hide.
    """
    found = _URI.match(uri)
    if found is None:
        return uri
    scheme, user, rest = found.groups()
    container = user if user and ":" not in user and scheme.lower() in _CONTAINERS else None
    slashes = "//" if uri.startswith("//", len(scheme) + 1) else ""
    return f"{scheme}:{slashes}{f'{container}@' if container else ''}{rest}"
