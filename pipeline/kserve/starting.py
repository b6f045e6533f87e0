"""Waiting for a revision to start, over many short calls, by one watch of it that outlasts them.

Who promotes asks again each second, to see a decision that stops it. A watch begun anew by each of
those calls would be two requests a second, for as long as a model loads.
"""

import threading
import time
from dataclasses import dataclass

from pipeline.domain.serving import Readiness
from pipeline.errors import LaurelError
from pipeline.kserve.readiness import Answer, judged
from pipeline.kserve.revisions import Revision
from pipeline.kserve.service import Service

FIRST_LOOK, RAREST_LOOK = 1.0, 10.0
"""Seconds after which everything is looked at anew while nothing changes: at first, and at most."""


class Waiting:
    """Who waits for revisions, so that everything is looked at ever more rarely while they start.

    In between only the revision is watched. A model that loads for ten minutes costs some six
    requests every ten seconds. It remembers nothing that a restart may not forget.
    """

    def __init__(self) -> None:
        self._looks: dict[str, _Look] = {}

    def readiness(self, service: Service, revision: str, *, wait: float = 0.0) -> Answer:
        """Tell whether a revision can take traffic, and why not, at the latest after ``wait``.

        Before that it is answered when it can, or never will.

        Raises
        ------
        NotFoundError
            Where the service has no such revision.

        """
        key = f"{service.cluster.namespace}/{revision}"
        if wait <= 0:
            return _answer(service, revision)[0]
        end = time.monotonic() + wait
        look = self._looks.get(key) or _look(service, revision, FIRST_LOOK)
        while look.watch is not None and look.watch.over(end - time.monotonic()):
            pause = FIRST_LOOK if look.watch.changed else min(look.pause * 2, RAREST_LOOK)
            look = _look(service, revision, pause)
        if look.watch is None:
            self._looks.pop(key, None)
        else:
            self._looks[key] = look
        return look.answer


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found when everything was looked at, and the watch that tells when to look again.

    There is none where nothing more is waited for.
    """

    answer: Answer
    pause: float
    watch: "_Watch | None"


class _Watch:
    """Watches a revision, in a thread of its own, for so long or until it says something else."""

    def __init__(self, service: Service, found: Revision, need: int, seconds: float) -> None:
        self.changed = False
        self._over = threading.Event()
        self._service, self._found, self._need, self._seconds = service, found, need, seconds
        name = f"watch {found.name}"
        threading.Thread(target=self._follow, name=name, daemon=True).start()

    def over(self, wait: float) -> bool:
        """Tell whether it has ended, waiting so long for it."""
        return self._over.wait(max(wait, 0.0))

    def _follow(self) -> None:
        try:
            seen = self._service.until_revision(
                self._found.name, self._says_more, seconds=self._seconds
            )
            self.changed = bool(seen)
        except LaurelError:  # whoever looks next meets the same, and says so
            self._over.wait(self._seconds)
        finally:
            self._over.set()

    def _says_more(self, now: Revision) -> bool | None:
        same = (now.ready, now.active) == (self._found.ready, self._found.active)
        return True if now.warm(self._need) or not same else None


def _look(service: Service, revision: str, pause: float) -> _Look:
    answer, found, need = _answer(service, revision)
    starting = answer[0] is Readiness.STARTING
    return _Look(answer, pause, _Watch(service, found, need, pause) if starting else None)


def _answer(service: Service, revision: str) -> tuple[Answer, Revision, int]:
    now = service.read()
    if now is None:
        raise service.gone("ask for readiness")
    found = service.known(now, revision)
    return judged(service, now, found), found, now.need
