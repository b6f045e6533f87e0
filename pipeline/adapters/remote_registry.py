"""Images in remote registries: repositories named ``registry.example.com/ml/fraud``."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from pipeline.distribution import download, manifests, referrers_api, tags, upload
from pipeline.distribution.patience import Patience
from pipeline.distribution.repository import PULL, PUSH, Repository
from pipeline.distribution.request import Scope
from pipeline.distribution.session import UPLOADS, Session
from pipeline.distribution.transport import Transport
from pipeline.domain.content import Content
from pipeline.domain.http_date import told_time
from pipeline.domain.oci import Descriptor
from pipeline.domain.references import Digest
from pipeline.domain.serving import Blob
from pipeline.errors import ForbiddenError
from pipeline.image.blob_file import disk
from pipeline.image.referrers import as_referrer
from pipeline.image.tar import file_chunks

_CREATED, _ACCEPTED = 201, 202


class RemoteRegistry:
    """Images on whatever host their repository names; implements ``ImageRegistry`` of the ports.

    Several threads may use it at once.

    Parameters
    ----------
    transport
        Connections to registries.
    wait
        Waits so many seconds before something is tried again.

    """

    def __init__(self, transport: Transport, *, wait: Callable[[float], None] = time.sleep) -> None:
        self._transport = transport
        self._wait = wait
        self._tidy: set[str] = set()  # hosts whose tags go with what they name

    def blob(self, repository: str, digest: Digest) -> Blob | None:
        """Tell whether a blob is there."""
        return download.find_blob(self._at(repository), digest)

    def read_blob(self, repository: str, digest: Digest) -> Iterator[bytes]:
        """Stream a blob; ``CorruptedError`` at its end where the bytes are not the digest's."""
        return download.read_blob(self._at(repository), digest)

    def push_blob(self, repository: str, content: Content) -> Blob:
        """Store a stream, hashed on its way; what broke goes on where it was."""
        return upload.push(self._at(repository), content)

    def push_file(self, repository: str, path: Path, digest: Digest) -> Blob:
        """Store a local file, read as it is sent."""
        at = self._at(repository)
        if there := download.find_blob(at, digest):
            return there
        with disk("push a layer", path):
            size = path.stat().st_size
        return upload.push(at, Content(partial(_read, path), size, digest))

    def mount(self, repository: str, digest: Digest, source: str) -> Blob | None:
        """Take a blob over from another repository of the same registry."""
        at, other = self._at(repository), self._at(source)
        if at.place.host != other.place.host:
            return None
        query = urlencode({"mount": digest.value, "from": other.place.path})
        also = (Scope(other.place.path, PULL),)
        try:
            with at.call(
                "POST", f"{UPLOADS}?{query}", "take a layer over", PUSH, also=also
            ) as answer:
                status = answer.status
                begun = Session.of(at, answer) if status == _ACCEPTED else None
        except ForbiddenError:  # of the source perhaps: then its bytes have to be read, or not
            return None
        if begun is not None:
            begun.cancel()
        return download.find_blob(at, digest) if status == _CREATED else None

    def manifest(self, repository: str, reference: str) -> bytes | None:
        """Read a manifest by digest or tag, in one request; its bytes are hashed here."""
        return manifests.get(self._at(repository), reference)

    def push_manifest(
        self, repository: str, content: bytes, media_type: str, *, tag: str | None = None
    ) -> Digest:
        """Store a manifest; one about another image is listed among that one's referrers too."""
        at = self._at(repository)
        about = as_referrer(content, media_type)
        digest, listed = manifests.put(at, content, media_type, tag)
        if about is not None and not listed:
            referrers_api.list_referrer(at, *about)
        return digest

    def referrers(self, repository: str, digest: Digest) -> tuple[Descriptor, ...]:
        """List the manifests about this image."""
        return referrers_api.referrers(self._at(repository), digest)

    def tags(self, repository: str) -> tuple[str, ...]:
        """List the repository's tags, sorted."""
        return tags.every(self._at(repository))

    def delete(self, repository: str, digest: Digest) -> None:
        """Remove a manifest with its tags, and from the list of what refers to its image."""
        at = self._at(repository)
        referrers_api.unlist_referrer(at, digest)
        if at.place.host in self._tidy:
            manifests.delete(at, digest.value)
        elif tags.delete_with_tags(at, digest):
            self._tidy.add(at.place.host)

    def now(self, repository: str) -> datetime | None:
        """Read the registry's clock, which its answers carry; ``None`` where they do not."""
        with self._at(repository).call("GET", "/v2/", "read its clock") as answer:
            return told_time(answer.headers)

    def _at(self, repository: str) -> Repository:
        return Repository.of(self._transport, repository, partial(Patience, self._wait))


def _read(path: Path) -> Iterator[bytes]:
    with disk("push a layer", path):
        yield from file_chunks(path)
