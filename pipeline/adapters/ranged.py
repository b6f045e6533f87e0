"""A large remote file as a stream: parts are fetched ahead, several at once, and given in order.

One connection to an object store is slow, and so are many small parts: four connections with parts
of 16 MiB keep a build busy. Nothing is written to disk, and no more than :data:`AHEAD` parts are in
memory beside the one that is being given.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import Protocol

from pipeline.adapters.artifact_listing import ATTEMPTED, changed, other_length
from pipeline.domain.evidence import StoredFile
from pipeline.errors import TransientError, UnavailableError

PART = 16 << 20
AHEAD = 3
_WAITS = (0.2, 1.0, 5.0)  # seconds before a part is asked for again


@dataclass(frozen=True, slots=True)
class Answer:
    """What a store sends for one part.

    Parameters
    ----------
    etag
        Which version of the file it is of; ``""`` where the store does not say.
    total
        How long the whole file is; ``None`` where the store does not say.
    chunks
        The bytes, as they come.

    """

    etag: str
    total: int | None
    chunks: Iterator[bytes]


class Parts(Protocol):
    """A remote file that can be asked for from any byte to any other."""

    def open(self, first: int, last: int, etag: str) -> AbstractContextManager[Answer]:
        """Ask for ``first`` to ``last``, of the version ``etag`` if that is given.

        ``TransientError`` where asking again may help, in the ``with`` block as well.
        """


def in_order(parts: Parts, file: StoredFile) -> Generator[bytes, None, None]:
    """Stream a file from its first byte to its last.

    A part whose connection breaks is asked for again from there. Leaving early ends every
    connection at its next chunk.

    Raises
    ------
    CorruptedError
        Where the file is not as long as it was listed, or changes meanwhile.

    """
    return _Prefetch(parts, file).stream()


class _Prefetch:
    def __init__(self, parts: Parts, file: StoredFile) -> None:
        self._parts = parts
        self._file = file
        self._etag = ""
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(AHEAD, thread_name_prefix="laurel-part")

    def stream(self) -> Generator[bytes, None, None]:
        """Give the first part as it comes, and the others once it has told the version."""
        left = iter(range(PART, self._file.size, PART))
        ahead: deque[Future[deque[bytes]]] = deque()
        try:
            with closing(self._part(0)) as first:
                for chunk in first:
                    while len(ahead) < AHEAD and self._submit(ahead, left):
                        pass
                    yield chunk
            while ahead:
                chunks = ahead.popleft().result()
                while chunks:
                    yield chunks.popleft()
                self._submit(ahead, left)
        finally:
            self._stop.set()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _submit(self, ahead: deque[Future[deque[bytes]]], left: Iterator[int]) -> bool:
        first = next(left, None)
        if first is not None:
            ahead.append(self._pool.submit(self._collected, first))
        return first is not None

    def _collected(self, first: int) -> deque[bytes]:
        chunks: deque[bytes] = deque()
        with closing(self._part(first)) as part:
            for chunk in part:
                if self._stop.is_set():
                    break
                chunks.append(chunk)
        return chunks

    def _part(self, first: int) -> Generator[bytes, None, None]:
        end = min(first + PART, self._file.size)
        at = first
        waits = iter(_WAITS)
        while True:
            try:
                with self._parts.open(at, end - 1, self._etag) as answer:
                    for chunk in self._checked(answer, end - at):
                        at += len(chunk)
                        yield chunk
            except TransientError as error:
                unsafe = at > first and not self._etag  # the rest may be another version's
                if unsafe or self._stop.wait(_pause(error, waits)):
                    raise
            else:
                if at < end:
                    raise other_length(self._file)
                return

    def _checked(self, answer: Answer, wanted: int) -> Iterator[bytes]:
        """Give the bytes of an answer that is of the listed file, and of the version begun with.

        What the headers say is looked at when a byte has come: a connection that breaks within
        them leaves half a number, and no client notices.
        """
        length = 0
        for chunk in answer.chunks:
            if not length:
                self._check(answer)
            length += len(chunk)
            if length > wanted:
                raise other_length(self._file)
            yield chunk
        if not length:
            if wanted and answer.total != 0:
                raise UnavailableError(ATTEMPTED, self._file.path, "the store sends nothing of it")
            self._check(answer)

    def _check(self, answer: Answer) -> None:
        if answer.total not in {None, self._file.size}:
            raise other_length(self._file)
        if self._etag and answer.etag != self._etag:  # it has no If-Match, or does not obey it
            raise changed(self._file)
        self._etag = answer.etag


def total_of(header: str | None) -> int | None:
    """Read how long the whole file is from ``Content-Length`` or ``Content-Range``."""
    total = (header or "").rpartition("/")[2]
    return int(total) if total.isdecimal() else None


def _pause(error: TransientError, waits: Iterator[float]) -> float:
    """Tell how long to wait before a part is asked for again; raise where it is not any more."""
    wait = next(waits, None)
    if wait is None or (error.retry_after or 0) > _WAITS[-1]:
        raise error
    return error.retry_after or wait
