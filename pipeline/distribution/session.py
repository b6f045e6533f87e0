"""One upload under way at a registry (distribution-spec, "pushing blobs")."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from urllib.parse import urldefrag, urlencode, urljoin

import urllib3

from pipeline.distribution.answers import number, rejected, require_digest, succeeded
from pipeline.distribution.repository import PUSH, Repository
from pipeline.domain.references import Digest
from pipeline.errors import LaurelError, PermanentError, UnavailableError

ATTEMPTED = "push a layer"
UPLOADS = "blobs/uploads/"
_NOT_FOUND = 404
_TRIES = 3
_NO_HEADERS: Mapping[str, str] = {}
_BYTES = {"Content-Type": "application/octet-stream"}
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,19})\Z")

Body = tuple[Callable[[], Iterable[bytes]], int]


class Session:
    """A place where a registry collects bytes, until it is told their digest.

    Parameters
    ----------
    repository
        Where the blob goes.
    location
        Where to go on, as the registry said; each later answer may say another place.
    smallest_chunk
        The least it wants at once where the bytes come in several calls.

    """

    def __init__(self, repository: Repository, location: str, smallest_chunk: int = 0) -> None:
        self._repository = repository
        self._location = location
        self.smallest_chunk = smallest_chunk

    @classmethod
    def begin(cls, repository: Repository) -> "Session":
        """Ask for an upload."""
        with repository.call("POST", UPLOADS, ATTEMPTED, PUSH) as answer:
            if not succeeded(answer):
                raise rejected(answer, ATTEMPTED, str(repository))
            return cls.of(repository, answer)

    @classmethod
    def of(cls, repository: Repository, answer: urllib3.BaseHTTPResponse) -> "Session":
        """Take the upload that an answer began."""
        start = f"/v2/{repository.place.path}/{UPLOADS}"
        location = _moved(repository, start, answer)
        if location == start:
            raise PermanentError(
                ATTEMPTED, str(repository), "the registry names no place for it: ask its owner"
            )
        return cls(repository, location, number(answer.headers, "OCI-Chunk-Min-Length") or 0)

    def send(self, body: Body, start: int | None = None) -> int | None:
        """Send bytes; ``start`` is the first one's place where they are not all there are.

        Returns how many the registry has then, if it says so.
        """
        headers = dict(_BYTES)
        if start is not None:
            headers["Content-Range"] = f"{start}-{start + body[1] - 1}"
        with self._call("PATCH", self._location, headers, body) as answer:
            self._require(answer)
            self._location = _moved(self._repository, self._location, answer)
            return received(answer)

    def received(self, *, leaving: bool = False) -> int | None:
        """Ask how many bytes have arrived; ``None`` where it does not know, or cannot tell.

        "0-0" stands for one byte and for none: it is no byte that would be worth keeping.
        """
        with self._call("GET", self._location, leaving=leaving) as answer:
            if not succeeded(answer):
                return None
            self._location = _moved(self._repository, self._location, answer)
            return received(answer)

    def finish(self, digest: Digest, body: Body | None = None) -> None:
        """Say the digest, with the whole bytes where none were sent yet; the blob is there then."""
        query = urlencode({"digest": digest.value})
        target = f"{self._location}{'&' if '?' in self._location else '?'}{query}"
        with self._call("PUT", target, _BYTES, body) as answer:
            self._require(answer)
            require_digest(answer, digest, ATTEMPTED, str(self._repository))

    def cancel(self) -> None:
        """Have the bytes thrown away, where that can be had; registries forget them in time.

        Who gives up because nobody answers does not wait for an answer to this.
        """
        with suppress(LaurelError):
            for _ in range(_TRIES):
                if self._delete():
                    return
                self.received(leaving=True)  # distribution takes an upload's newest location only

    def _delete(self) -> bool:
        with self._call("DELETE", self._location, leaving=True) as answer:
            return succeeded(answer)

    def _call(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] = _NO_HEADERS,
        body: Body | None = None,
        *,
        leaving: bool = False,
    ) -> AbstractContextManager[urllib3.BaseHTTPResponse]:
        return self._repository.call(
            method, target, ATTEMPTED, PUSH, headers=headers, body=body, leaving=leaving
        )

    def _require(self, answer: urllib3.BaseHTTPResponse) -> None:
        if not succeeded(answer):
            error = rejected(answer, ATTEMPTED, str(self._repository))
            if error.status == _NOT_FOUND:
                hint = f"its upload is gone: {error.hint}"
                raise UnavailableError(error.attempted, error.subject, hint) from error
            raise error


def received(answer: urllib3.BaseHTTPResponse) -> int | None:
    """Read how many bytes a registry says to have."""
    said = _RANGE.match(answer.headers.get("Range", "").strip())
    return int(said[1]) + 1 if said else None


def _moved(repository: Repository, location: str, answer: urllib3.BaseHTTPResponse) -> str:
    """Follow ``Location``, absolute or relative, its query kept; not there: stay."""
    try:
        return urldefrag(urljoin(location, answer.headers.get("Location", ""))).url
    except ValueError:  # brackets without an address between them; the text may hold a secret
        hint = "the registry sends it on to what is no URL: ask its owner"
        raise PermanentError(ATTEMPTED, str(repository), hint) from None
