"""Gets blobs from a registry: whether one is there, and its bytes, however often that breaks."""

import hashlib
import re
from collections.abc import Iterator

import urllib3

from pipeline.distribution.answers import length, rejected, succeeded
from pipeline.distribution.patience import PROGRESS
from pipeline.distribution.repository import Repository
from pipeline.domain.references import Digest
from pipeline.domain.serving import Blob
from pipeline.errors import (
    CorruptedError,
    NotFoundError,
    PermanentError,
    TransientError,
    UnavailableError,
)

_LOOK, _READ = "look for a layer", "read a layer"
_CHUNK = 1 << 20
_PARTIAL, _NOT_FOUND, _NO_SUCH_METHOD = 206, 404, 405
_PART = re.compile(r"bytes ([0-9]{1,19})-")


def find_blob(repository: Repository, digest: Digest, method: str = "HEAD") -> Blob | None:
    """Tell whether a blob is there, and its size."""
    with repository.call(method, f"blobs/{digest}", _LOOK) as answer:
        if answer.status == _NOT_FOUND:
            return None
        unknown = answer.status == _NO_SUCH_METHOD and method == "HEAD"
        if not unknown and not succeeded(answer):
            raise rejected(answer, _LOOK, str(repository))
        size = length(answer)
    if unknown:  # some proxies know no HEAD; of a GET only the head is read
        return find_blob(repository, digest, "GET")
    if size is None:
        raise PermanentError(
            _LOOK, f"{repository}@{digest}", "the registry tells no length: ask its owner"
        )
    return Blob(digest, size)


def read_blob(repository: Repository, digest: Digest) -> Iterator[bytes]:
    """Stream a blob; ``CorruptedError`` at its end where the bytes are not the digest's.

    What broke goes on where it was, at most as many bytes as the registry announced.
    """
    seen, patience = hashlib.sha256(), repository.patience()
    download = _Download(repository, digest)
    while True:
        came = 0
        try:
            for chunk in download.rest():
                seen.update(chunk)
                came += len(chunk)
                if came >= PROGRESS:
                    patience.renew()
                yield chunk
            break
        except TransientError as error:
            patience.after(error)
    if seen.hexdigest() != digest.hex:
        raise CorruptedError(
            _READ,
            f"{repository}@{digest}",
            "the registry answers with other bytes: its store is damaged, or it lies",
        )


class _Download:
    """A blob on its way: how many bytes it has, and how many have come."""

    def __init__(self, repository: Repository, digest: Digest) -> None:
        self._repository = repository
        self._digest = digest
        self._size: int | None = None
        self._read = 0

    def rest(self) -> Iterator[bytes]:
        """Stream what has not come yet."""
        headers = {}
        if self._size is not None and self._read:
            headers["Range"] = f"bytes={self._read}-{self._size - 1}"
        with self._repository.call(
            "GET", f"blobs/{self._digest}", _READ, headers=headers
        ) as answer:
            self._require(answer)
            size = self._announced(answer)
            for chunk in self._body(answer):
                self._read += len(chunk)
                if self._read > size:
                    raise self._corrupted(f"more than the {size} bytes that it announced")
                yield chunk
        if self._read < size:
            raise UnavailableError(
                _READ, str(self._repository), f"{self._read} of {size} bytes came: retry"
            )

    def _require(self, answer: urllib3.BaseHTTPResponse) -> None:
        if answer.status == _NOT_FOUND:
            subject = f"{self._repository}@{self._digest}"
            raise NotFoundError(_READ, subject, "it is not there: build the image again")
        if not succeeded(answer):
            raise rejected(answer, _READ, str(self._repository))

    def _announced(self, answer: urllib3.BaseHTTPResponse) -> int:
        """Say how many bytes the blob has; what was said first counts."""
        if self._size is None:
            self._size = length(answer)
        if self._size is None:  # a body that tells no end must not be the one to say where it is
            blob = find_blob(self._repository, self._digest)
            self._size = blob.size if blob else 0
        return self._size

    def _body(self, answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        """Stream a body from the byte on that is wanted, whatever the registry begins with."""
        part = _PART.match(answer.headers.get("Content-Range", ""))
        start = int(part[1]) if part and answer.status == _PARTIAL else 0
        if start > self._read:
            raise self._corrupted("a part that was not asked for")
        skip = self._read - start
        while chunk := answer.read(_CHUNK, decode_content=False):
            if skip < len(chunk):
                yield chunk[skip:]
            skip = max(0, skip - len(chunk))

    def _corrupted(self, what: str) -> CorruptedError:
        return CorruptedError(
            _READ,
            f"{self._repository}@{self._digest}",
            f"the registry answers with {what}: ask its owner",
        )
