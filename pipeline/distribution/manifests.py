"""Manifests as raw bytes: read within bounds and hashed, stored, deleted."""

import re

from pipeline.distribution.answers import bounded, rejected, require_digest, succeeded
from pipeline.distribution.repository import DELETE, PUSH, Repository
from pipeline.domain.oci import IMAGE_INDEX, IMAGE_MANIFEST
from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError, InvalidReferenceError, PermanentError
from pipeline.image.canonical import LIMIT

_DOCKER = "application/vnd.docker.distribution.manifest"
_ACCEPTED = ", ".join(
    (IMAGE_MANIFEST, IMAGE_INDEX, f"{_DOCKER}.v2+json", f"{_DOCKER}.list.v2+json")
)
_READ, _PUSH, _DELETE = "read a manifest", "push a manifest", "delete a manifest"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_NOT_FOUND = 404
_NOT_SUPPORTED = {400, 405}


def get(repository: Repository, reference: str) -> bytes | None:
    """Read a manifest by digest or tag, in one request."""
    digest = Digest(reference) if reference.startswith("sha256:") else None
    target = f"manifests/{digest or require_tag(reference)}"

    def once() -> bytes | None:
        with repository.call("GET", target, _READ, headers={"Accept": _ACCEPTED}) as answer:
            if answer.status == _NOT_FOUND:
                return None
            if not succeeded(answer):
                raise rejected(answer, _READ, str(repository))
            content = bounded(answer, LIMIT, _READ, f"{repository}, {reference}")
            require_digest(answer, Digest.of(content), _READ, f"{repository}, {reference}")
            return content

    content = repository.patience().repeat(once)
    if content is not None and digest not in {None, Digest.of(content)}:
        raise CorruptedError(
            _READ,
            f"{repository}@{digest}",
            "the registry answers with other bytes: its store is damaged, or it lies",
        )
    return content


def put(
    repository: Repository, content: bytes, media_type: str, tag: str | None = None
) -> tuple[Digest, bool]:
    """Store a manifest, under a tag too if given, in one request.

    Also tells whether the registry lists it, by itself, among what refers to its ``subject``.
    """
    digest = Digest.of(content)
    target = f"manifests/{require_tag(tag) if tag else digest}"

    def once() -> tuple[Digest, bool]:
        with repository.call(
            "PUT",
            target,
            _PUSH,
            PUSH,
            headers={"Content-Type": media_type},
            body=(lambda: (content,), len(content)),
        ) as answer:
            if not succeeded(answer):
                raise rejected(answer, _PUSH, str(repository))
            require_digest(answer, digest, _PUSH, str(repository))
            return digest, "OCI-Subject" in answer.headers

    return repository.patience().repeat(once)


def delete(repository: Repository, reference: str) -> None:
    """Remove a manifest, or a tag; not there: nothing changes."""

    def once() -> None:
        with repository.call("DELETE", f"manifests/{reference}", _DELETE, DELETE) as answer:
            if succeeded(answer) or answer.status == _NOT_FOUND:
                return
            error = rejected(answer, _DELETE, f"{repository}, {reference}")
        if error.status in _NOT_SUPPORTED:
            hint = f"this registry does not delete: {error.hint}; have its owner allow it"
            raise PermanentError(_DELETE, error.subject, hint) from error
        raise error

    repository.patience().repeat(once)


def is_tag(text: str) -> bool:
    """Tell whether the distribution-spec calls it a tag."""
    return _TAG.match(text) is not None


def require_tag(text: str) -> str:
    """Return ``text`` if it is a tag, else raise."""
    if not is_tag(text):
        raise InvalidReferenceError(f"{text[:80]!r} is not a tag: use letters, digits, . _ -")
    return text
