"""Whether a revision can take traffic: Knative's word, as many ready pods as asked for, and theirs.

Knative calls a revision ready that was so once: whose pods are not any more, and who never will be,
only its pods tell (testbed.md traps C and "fails at the first container exit").
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from pipeline.domain.serving import Readiness
from pipeline.errors import LaurelError
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.json_patch import Json
from pipeline.kserve.pods import CONTAINER, Words, one_line, words
from pipeline.kserve.refusals import obstacle, refusal
from pipeline.kserve.resources import EVENTS
from pipeline.kserve.revisions import Revision
from pipeline.kserve.service import Service

_LINES = 20
_TOO_LATE = "ProgressDeadlineExceeded"
_NODE_COMING = "TriggeredScaleUp"
_FIRST_LOOK, _RAREST_LOOK = 1.0, 10.0
Answer = tuple[Readiness, str]


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found when everything was looked at, and until when that is good enough."""

    found: Revision
    need: int
    answer: Answer
    until: float
    pause: float


class Waiting:
    """Who waits for revisions, so that everything is looked at ever more rarely while they start.

    In between only the revision is watched: a model that loads for ten minutes costs a few calls a
    minute. It remembers nothing that a restart may not forget.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looks: dict[str, _Look] = {}

    def readiness(self, service: Service, revision: str, *, wait: float = 0.0) -> Answer:
        """Tell whether a revision can take traffic, and why not, at the latest after ``wait``.

        Raises
        ------
        NotFoundError
            Where the service has no such revision.

        """
        key = f"{service.cluster.namespace}/{revision}"
        look = self._looks.get(key)
        if wait <= 0 or look is None or look.until <= self._clock():
            look = self._look(service, revision, _FIRST_LOOK if look is None else look.pause * 2)
        if wait > 0 and look.answer[0] is Readiness.STARTING and self._changes(service, look, wait):
            look = self._look(service, revision, _FIRST_LOOK)
        if look.answer[0] is Readiness.STARTING:
            self._looks[key] = look
        else:
            self._looks.pop(key, None)
        return look.answer

    def _look(self, service: Service, revision: str, pause: float) -> _Look:
        now = service.read()
        if now is None:
            raise service.gone("ask for readiness")
        found = service.known(now, revision)
        pause = min(pause, _RAREST_LOOK)
        return _Look(found, now.need, judged(service, now, found), self._clock() + pause, pause)

    def _changes(self, service: Service, look: _Look, wait: float) -> bool:
        """Wait until the revision says something else than it did."""
        before = (look.found.ready, look.found.active)

        def says_more(one: Revision) -> bool | None:
            return True if one.warm(look.need) or (one.ready, one.active) != before else None

        return bool(service.until_revision(look.found.name, says_more, seconds=wait))


def judged(service: Service, now: InferenceService, found: Revision) -> Answer:
    """Tell whether a revision can take traffic, asking its pods where Knative does not say so."""
    if found.warm(now.need) or (found.asleep and now.min_replicas == 0):
        return Readiness.READY, ""
    if why := refusal(now):
        return Readiness.FAILED, why
    said = last_words(service, found)
    if found.failed and not _node_comes(found, said):
        return Readiness.FAILED, said.text if said else _given_up(service, found)
    if said is not None:
        return (Readiness.FAILED if said.failed else Readiness.STARTING), said.text
    return Readiness.STARTING, obstacle(now) or _too_few(now, found)


def trouble(service: Service, revision: str) -> str:
    """Say what befell the pods of a revision that had traffic, also where they are back."""
    now = service.there()
    found = service.known(now, revision)
    if (said := last_words(service, found)) is not None:
        return said.text
    return "" if found.warm(now.need) else _too_few(now, found)


def last_words(service: Service, found: Revision) -> Words | None:
    """Ask a revision's pods what is wrong; the log of one that crashed without a word too."""
    pods = service.pods(found.name)
    said = words(pods)
    if said is None:
        return None
    if said.unscheduled:
        return _unless_a_node_comes(service, said)
    if not said.silent:
        return said
    spoken = _spoken(service, *said.silent, previous=True)
    return Words(said.failed, f"{said.text}; its last words: {spoken or 'none'}")


def _given_up(service: Service, found: Revision) -> str:
    """Say why Knative gave up a revision whose pods run, and what the newest of them said."""
    text = one_line(found.ready.said)
    names = sorted(
        (str(metadata.get("creationTimestamp", "")), str(metadata.get("name", "")))
        for metadata in (pod.get("metadata", {}) for pod in service.pods(found.name))
        if "deletionTimestamp" not in metadata
    )
    spoken = _spoken(service, names[-1][1], CONTAINER, previous=False) if names else ""
    return f"{text}; its pod's last words: {spoken}" if spoken else text


def _spoken(service: Service, pod: str, container: str, *, previous: bool) -> str:
    with suppress(LaurelError):  # what it said is a kindness: no promotion hangs on it
        return one_line(service.cluster.logs(pod, container, lines=_LINES, previous=previous))
    return ""


def _too_few(now: InferenceService, found: Revision) -> str:
    return f"{found.replicas} of {now.need} pods are ready"


def _unless_a_node_comes(service: Service, said: Words) -> Words:
    """Wait where the cluster is about to add a node for the pod."""
    coming: list[Json] = []
    with suppress(LaurelError):
        selector = f"involvedObject.name={said.unscheduled},reason={_NODE_COMING}"
        coming = service.cluster.list(EVENTS, fields=selector)
    if not coming:
        return said
    return replace(said, failed=False, text=f"{said.text} (a node is being added)")


def _node_comes(found: Revision, said: Words | None) -> bool:
    """Tell whether Knative gave up only what waits for a node, and its time is not over."""
    waits = said is not None and said.unscheduled != "" and not said.failed
    return waits and found.ready.reason != _TOO_LATE
