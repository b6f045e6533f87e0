"""Content as an upload reads it: from any byte on, as often as it takes, hashed on the way."""

import hashlib
from collections.abc import Iterator

from pipeline.domain.content import Content
from pipeline.domain.references import Digest
from pipeline.domain.serving import Blob
from pipeline.errors import CorruptedError


class Source:
    """Bytes to be sent, each part when the registry wants it.

    Reading goes on where it stands; for a byte before that it begins again at the first, and
    notices where the bytes are not those that were read before. The last bytes are passed on only
    when length and digest are what the content says.

    Attributes
    ----------
    blob
        What the bytes turned out to be; ``None`` until the last was read.
    failure
        What ended reading. An upload must not take it for the network's: it will not go away.

    """

    def __init__(self, content: Content) -> None:
        self.size = content.size
        self.blob: Blob | None = None
        self.failure: Exception | None = None
        self._content = content
        self._before = (0, "")  # how far some earlier reading came, and the SHA-256 so far
        self._begin()

    def read(self, start: int, count: int) -> Iterator[bytes]:
        """Read ``count`` bytes from byte ``start`` on."""
        try:
            if start < self._passed:
                self._begin_again()
            while self._passed < start:
                self._take(start - self._passed)
            end = start + count
            while self._passed < end:
                yield self._take(end - self._passed)
        except Exception as error:
            self.failure = error
            raise

    def _begin(self) -> None:
        self._chunks = iter(self._content.chunks())
        self._seen = hashlib.sha256()
        self._hashed = self._passed = 0
        self._waiting = b""

    def _begin_again(self) -> None:
        if self._hashed > self._before[0]:
            self._before = self._hashed, self._seen.hexdigest()
        self._begin()

    def _take(self, most: int) -> bytes:
        chunk = self._waiting or self._next()
        taken, self._waiting = chunk[:most], chunk[most:]  # a whole slice is no copy
        self._passed += len(taken)
        return taken

    def _next(self) -> bytes:
        chunk = self._next_read()
        if chunk is None or self._hashed + len(chunk) > self.size:
            raise self._other_length(more=chunk is not None)
        self._hash(chunk)
        if self._hashed == self.size:
            if self._next_read() is not None:
                raise self._other_length(more=True)
            self._end()
        return chunk

    def _next_read(self) -> bytes | None:
        return next(filter(None, self._chunks), None)

    def _hash(self, chunk: bytes) -> None:
        before, digest = self._before
        rest = memoryview(chunk)
        if self._hashed < before <= self._hashed + len(chunk):
            self._seen.update(rest[: before - self._hashed])
            rest = rest[before - self._hashed :]
            if self._seen.hexdigest() != digest:
                raise CorruptedError(
                    "push a layer", "its content", "it changed while it was read: retry"
                )
        self._seen.update(rest)
        self._hashed += len(chunk)

    def _end(self) -> None:
        digest = Digest(f"sha256:{self._seen.hexdigest()}")
        wanted = self._content.digest
        if wanted not in {None, digest}:
            raise CorruptedError("push a layer", str(wanted), "its bytes are others: retry")
        self.blob = Blob(digest, self.size)

    def _other_length(self, *, more: bool) -> CorruptedError:
        told = f"more than {self.size}" if more else f"{self._hashed} of {self.size}"
        return CorruptedError("push a layer", "its content", f"it has {told} bytes: retry")
