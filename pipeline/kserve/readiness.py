"""Whether a revision can take traffic: Knative's word, as many ready pods as asked for, and theirs.

Knative calls a revision ready that was so once: whose pods are not any more, and who never will be,
only its pods tell (testbed.md traps C and "fails at the first container exit").
"""

from contextlib import suppress
from dataclasses import replace

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
Answer = tuple[Readiness, str]


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
