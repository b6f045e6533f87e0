"""Following one object: what it is now, then each change, whatever breaks in between.

A watch may end at any moment: the server asks for a new beginning (410 Gone, as status or as an
event), it restarts, or the connection dies without a word. So every end is followed by reading the
object again, and what changed meanwhile is given as one change: the final state is never missed.
"""

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from pipeline.errors import ConflictError, RateLimitedError, TransientError, UnavailableError
from pipeline.kserve.api_errors import Asked, event_refusal

Json = dict[str, Any]
_SLICE = 30  # seconds of one watch; then a new one, so that a dead connection is noticed
_GRACE = 5.0  # seconds after which a server that should have ended the watch is taken for dead
_LONGEST_LINE = 32 << 20
_LONGEST_PAUSE = 4.0
_PASSING = (UnavailableError, RateLimitedError, ConflictError)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The object at one moment, ``None`` where it is absent, and from where to watch on."""

    object: Json | None
    version: str


class Source(Protocol):
    """Where one object is read and watched."""

    @property
    def asked(self) -> Asked:
        """Say what is being done, for errors."""

    def read(self) -> Snapshot:
        """Read the object as it is now."""

    def stream(
        self, version: str, seconds: int, silence: float
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Ask for changes after ``version``; the server ends it after ``seconds``."""


class Watching:
    """Follows one object for so many seconds.

    Parameters
    ----------
    source
        Where it is read and watched.
    seconds
        For how long.
    pause
        Waits so many seconds, between one failure and the next attempt.

    """

    def __init__(
        self, source: Source, seconds: float, *, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._source = source
        self._end = time.monotonic() + seconds
        self._pause = pause
        self._failures = 0
        self._given: tuple[str, str] | None = None  # uid and version of what was given last

    def changes(self) -> Iterator[Json | None]:
        """Give the object, then each change; raises where it cannot be read at the end."""
        while True:
            try:
                snapshot = self._source.read()
            except _PASSING as error:
                if self._left() <= 0:
                    raise
                self._wait(error)
                continue
            yield from self._new(snapshot.object)
            if self._left() <= 0:
                return
            try:
                yield from self._watched(snapshot.version)
            except _PASSING as error:
                self._wait(error)

    def _watched(self, version: str) -> Iterator[Json | None]:
        """Follow one watch to its end."""
        seconds = max(1, math.ceil(min(self._left(), _SLICE)))
        begun = time.monotonic()
        with self._source.stream(version, seconds, seconds + _GRACE) as pieces:
            for line in _lines(pieces):
                event = self._event(line)
                if event["type"] != "BOOKMARK":
                    self._failures = 0
                    yield from self._new(None if event["type"] == "DELETED" else event["object"])
                if self._left() <= 0:
                    return
        if time.monotonic() - begun < seconds / 2:  # whoever ends watches early is asked less often
            raise UnavailableError(
                self._source.asked.attempted, self._source.asked.subject, "the watch ended early"
            )
        self._failures = 0

    def _event(self, line: bytes) -> Json:
        asked = self._source.asked
        try:
            event = json.loads(line)
        except (ValueError, RecursionError) as error:
            hint = "a watch broke off in the middle of an event"
            raise UnavailableError(asked.attempted, asked.subject, hint) from error
        if not isinstance(event, dict) or not isinstance(event.get("object"), dict):
            raise UnavailableError(asked.attempted, asked.subject, "a watch gave no event")
        if event.get("type") == "ERROR":
            raise event_refusal(event["object"], asked)
        return {"type": str(event.get("type")), "object": event["object"]}

    def _new(self, now: Json | None) -> Iterator[Json | None]:
        """Give what is not what was given last."""
        metadata = {} if now is None else now.get("metadata", {})
        identity = (str(metadata.get("uid", "")), str(metadata.get("resourceVersion", "")))
        if identity != self._given:
            self._given = identity
            yield now

    def _wait(self, error: TransientError) -> None:
        """Wait before the next attempt: not at all the first time, then longer and longer."""
        wait = min(0.125 * 2**self._failures, _LONGEST_PAUSE) if self._failures else 0.0
        self._failures += 1
        self._pause(max(min(max(wait, error.retry_after or 0.0), self._left()), 0.0))

    def _left(self) -> float:
        return self._end - time.monotonic()


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Cut a stream into its lines; a line longer than any object is the stream's end."""
    rest = bytearray()
    for piece in pieces:
        rest += piece
        while (cut := rest.find(b"\n")) >= 0:
            line = bytes(rest[:cut])
            del rest[: cut + 1]
            if line.strip():
                yield line
        if len(rest) > _LONGEST_LINE:
            return
