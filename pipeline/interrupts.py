"""Neighbours that notice a decision: a long step leaves within a second of an abort or supersede.

A step knows nothing of this: it sleeps on a clock or streams a file, and either ends early with
:class:`Interrupted`, which ``run.py`` turns into the step's answer.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from datetime import datetime, timedelta
from typing import TypeVar

from pipeline.domain.evidence import Refused, StoredFile
from pipeline.domain.promotion import Control
from pipeline.ports import ArtifactStore, Clock

T = TypeVar("T")
LOOK_EVERY = timedelta(seconds=1)


class Interrupted(Exception):  # noqa: N818 - not an error: a decision was made meanwhile
    """The step ends here, because of ``control``."""

    def __init__(self, control: Control) -> None:
        super().__init__(control.reason)
        self.control = control


class InterruptibleClock:
    """A clock on which nobody oversleeps a decision; implements :class:`pipeline.ports.Clock`."""

    def __init__(self, clock: Clock, control: Callable[[], Control | None]) -> None:
        self._clock = clock
        self._control = control
        self._looked = clock.now()

    def now(self) -> datetime:
        """Tell the time, in UTC."""
        return self._clock.now()

    def sleep(self, seconds: float) -> None:
        """Wait in slices of a second, looking for a decision in between."""
        longest = LOOK_EVERY.total_seconds()
        while seconds > 0:
            self._clock.sleep(min(seconds, longest))
            seconds -= longest
            self.look()

    def look(self) -> None:
        """Leave where a decision was made; asks the ledger at most once a second."""
        now = self._clock.now()
        if abs(now - self._looked) >= LOOK_EVERY:  # a clock may be set back
            self._looked = now
            control = self._control()
            if control is not None:
                raise Interrupted(control)


def interruptible(do: Callable[[], T], clock: InterruptibleClock) -> T:
    """Do something in a thread of its own, and leave it to itself at a decision.

    For what cannot look by itself, such as a resolver that works for minutes: nobody waits for it,
    a rollback least of all. What it still finishes is found by digest, or by nobody.
    """
    done: Future[T] = Future()

    def work() -> None:
        try:
            done.set_result(do())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            done.set_exception(error)

    threading.Thread(target=work, name="laurel-heavy", daemon=True).start()
    while not wait([done], LOOK_EVERY.total_seconds()).done:
        clock.look()
    return done.result()


class InterruptibleStore:
    """Streams that end at a decision; implements :class:`pipeline.ports.ArtifactStore`."""

    def __init__(self, store: ArtifactStore, clock: InterruptibleClock) -> None:
        self._store = store
        self._clock = clock

    def files(self, artifact_uri: str) -> tuple[StoredFile, ...] | Refused:
        """List every file below the root."""
        return self._store.files(artifact_uri)

    def read(self, artifact_uri: str, file: StoredFile) -> Iterator[bytes]:
        """Stream one file."""
        for chunk in self._store.read(artifact_uri, file):
            self._clock.look()
            yield chunk
