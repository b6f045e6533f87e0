"""Puts a blob into a registry: in one pass, in Docker's own shape, and again where that broke.

``POST``, one ``PATCH`` with all bytes, hashed as they go, and a ``PUT`` that says their digest:
the shape that every registry has to bear, for Docker pushes so. What a proxy finds too large (413)
goes in parts; what broke goes on where the registry has it, or begins again.
"""

from functools import partial

from pipeline.distribution.answers import RejectedError
from pipeline.distribution.chunks import Chunks
from pipeline.distribution.download import find_blob
from pipeline.distribution.patience import PROGRESS
from pipeline.distribution.repository import Repository
from pipeline.distribution.session import ATTEMPTED, Session
from pipeline.distribution.source import Source
from pipeline.domain.content import Content
from pipeline.domain.references import Digest
from pipeline.domain.serving import Blob
from pipeline.errors import (
    CorruptedError,
    PermanentError,
    StepError,
    TransientError,
    UnavailableError,
)
from pipeline.image.blob_file import checked

_SMALL = 1 << 20
_TOO_LARGE, _OTHER_PLACE = 413, 416
_LOST = ("DIGEST_INVALID", "BLOB_UPLOAD_INVALID", "SIZE_INVALID")
_LEAST_WORTH = 2  # "0-0" stands for one byte and for none
_FRUITLESS = 2


def push(repository: Repository, content: Content) -> Blob:
    """Store a stream; one whose digest is known and there is not sent."""
    if content.digest and (there := find_blob(repository, content.digest)):
        return there
    if content.size > _SMALL:
        return _Upload(repository, content).run()
    whole = b"".join(checked(content))
    if content.digest is None and (there := find_blob(repository, Digest.of(whole))):
        return there
    return _push_small(repository, whole)


def _push_small(repository: Repository, whole: bytes) -> Blob:
    """Send bytes with the call that says their digest: one call less."""
    digest, patience = Digest.of(whole), repository.patience()
    while True:
        try:
            session = Session.begin(repository)
            session.finish(digest, (lambda: (whole,), len(whole)))
            return Blob(digest, len(whole))
        except TransientError as error:
            patience.after(error)
        if there := find_blob(repository, digest):  # it was done, only the answer was lost
            return there


class _Upload:
    """One blob on its way: what the registry has of it, and what is to be done about the rest."""

    def __init__(self, repository: Repository, content: Content) -> None:
        self._repository = repository
        self._source = Source(content)
        self._patience = repository.patience()
        self._chunks = Chunks()
        self._session: Session | None = None
        self._arrived = self._furthest = self._fruitless = 0
        self._unsure = False  # what has arrived is asked before more is sent
        self._mended = False  # it went on after a break, or in parts
        self._distrusted = False  # bytes sent so were lost once: from now on, all of them anew

    def run(self) -> Blob:
        """Go on until the blob is there, or nothing more can be done."""
        try:
            while True:
                try:
                    return self._go_on()
                except TransientError as error:
                    if self._source.failure is not None:  # neither the network's nor the registry's
                        raise self._source.failure from error
                    self._patience.after(error)
                    self._unsure = True
        except BaseException:
            if self._session is not None:
                self._session.cancel()
            raise

    def _go_on(self) -> Blob:
        while True:
            if self._unsure and (there := self._find_out()):
                return there
            self._unsure = False
            if self._session is None:
                self._session = Session.begin(self._repository)
                self._arrived, self._mended = 0, self._chunks.limited
            blob = self._source.blob
            if blob is None or self._arrived < blob.size:
                self._send(self._session)
            elif self._finish(self._session, blob.digest):
                return blob

    def _find_out(self) -> Blob | None:
        """Learn what has arrived: the blob, some of its bytes, or nothing that is of use."""
        blob = self._source.blob
        if blob and find_blob(self._repository, blob.digest):  # only the answer was lost
            return blob
        if self._session is None:
            return None
        sent = self._source.size if blob else self._source.size - 1
        told = self._session.received()
        if told is None or not _LEAST_WORTH <= told <= sent or self._distrusted:
            self._begin_again(self._session)
            return None
        self._mended = True
        self._get_to(told)
        return None

    def _get_to(self, arrived: int) -> None:
        self._arrived = arrived
        if arrived >= self._furthest + PROGRESS:
            self._furthest, self._fruitless = arrived, 0
            self._patience.renew()

    def _begin_again(self, session: Session) -> None:
        session.cancel()
        self._session = None
        self._fruitless += 1
        if self._fruitless >= _FRUITLESS and not self._distrusted:
            self._chunks.limit()  # some proxies keep what they take until they have all of it

    def _send(self, session: Session) -> None:
        start = self._arrived
        count = self._chunks.next(self._source.size - start, session.smallest_chunk)
        plain = start == 0 and not self._chunks.limited
        body = (partial(self._source.read, start, count), count)
        try:
            told = session.send(body, None if plain else start)
        except RejectedError as error:
            self._unsure = True
            if error.status == _TOO_LARGE and self._chunks.shrink(count, session.smallest_chunk):
                return
            if error.status == _OTHER_PLACE and plain:
                self._chunks.limit()
                return
            raise _explained(error) from error
        partly = told is not None and start < told < start + count and not plain
        self._get_to(told if told and partly else start + count)
        if partly and self._arrived - start < PROGRESS:
            hint = f"the registry took {self._arrived - start} of {count} bytes: retry"
            raise UnavailableError(ATTEMPTED, str(self._repository), hint)

    def _finish(self, session: Session, digest: Digest) -> bool:
        try:
            session.finish(digest)
        except RejectedError as error:
            self._unsure = True
            if not error.said.startswith(_LOST):
                raise _explained(error) from error
            if self._distrusted or not self._mended:
                raise CorruptedError(
                    ATTEMPTED, f"{self._repository}@{digest}", f"other bytes arrived: {error.hint}"
                ) from error
            self._distrusted = True
            self._chunks = Chunks()
            return False
        return True


def _explained(error: RejectedError) -> StepError:
    """Say what a no to some bytes means; of where they go, it may be another answer next time."""
    if error.status == _OTHER_PLACE:
        hint = f"other bytes have arrived than it said: {error.hint}"
        return UnavailableError(error.attempted, error.subject, hint)
    if error.status == _TOO_LARGE:
        hint = f"{error.hint}: have the owner of the proxy before it raise what one request may be"
        return PermanentError(error.attempted, error.subject, hint)
    return error
