"""One request to a registry, as a value, and the repository that it is about."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from pipeline.domain.references import names_registry, require_repository
from pipeline.errors import InvalidReferenceError

DOCKER_HUB = "registry-1.docker.io"
HUB_NAMES = frozenset({"docker.io", "index.docker.io", DOCKER_HUB})


@dataclass(frozen=True, slots=True)
class Place:
    """A repository on a registry: ``host`` (with its port) and ``path``."""

    host: str
    path: str

    @classmethod
    def of(cls, repository: str) -> Self:
        """Read a repository's whole name, ``registry.example.com/ml/fraud``.

        Raises
        ------
        InvalidReferenceError
            Where it names no registry.

        """
        host, _, path = require_repository(repository).partition("/")
        if not names_registry(repository):
            raise InvalidReferenceError(
                f"{repository!r} names no registry: write registry.example.com/{repository}"
            )
        return cls(DOCKER_HUB if host in HUB_NAMES else host, path)

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a request needs of a repository: ``actions`` of pull, push and delete."""

    repository: str
    actions: tuple[str, ...] = ("pull",)

    def __str__(self) -> str:
        return f"repository:{self.repository}:{','.join(self.actions)}"


@dataclass(frozen=True, slots=True)
class Request:
    """One call, which may be sent again: its body is read from the start each time.

    Parameters
    ----------
    method, host
        Verb, and the registry with its port.
    target
        Path and query, ``/v2/ml/fraud/blobs/sha256:…``, or the whole URL that a registry named for
        going on; one on another host is refused.
    scopes
        What the call needs, the first for the repository itself; a mount needs two.
    attempted, subject
        For errors: "push a layer", "registry.example.com/ml/fraud".
    headers
        Beside those that say who is asking.
    body, size
        What is sent, and how many bytes that is; ``None``: nothing.
    patience
        How many seconds the registry may be silent: it may hash gigabytes before it answers.
    once
        Never to be sent again: nobody waits for what comes of it.

    """

    method: str
    host: str
    target: str
    scopes: tuple[Scope, ...]
    attempted: str
    subject: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Callable[[], Iterable[bytes]] | None = None
    size: int = 0
    patience: float = 60.0
    once: bool = False
