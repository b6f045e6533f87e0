"""Whether a revision can take traffic: Knative's word, as many ready pods as asked for, and theirs.

Knative calls a revision ready that was so once: whose pods are not any more, and who never will be,
only its pods tell (testbed.md traps C and "fails at the first container exit").
"""

from contextlib import suppress

from pipeline.domain.serving import Readiness
from pipeline.errors import LaurelError
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.json_patch import Json
from pipeline.kserve.pods import Words, one_line, words
from pipeline.kserve.refusals import obstacle, refusal
from pipeline.kserve.resources import EVENTS
from pipeline.kserve.revisions import Revision
from pipeline.kserve.service import Service

_LINES = 20
_NODE_COMING = "TriggeredScaleUp"
_UNSCHEDULABLE = "Unschedulable"
_LOOK_AT_PODS_EVERY = 2.0
Answer = tuple[Readiness, str]


def readiness(service: Service, revision: str, *, wait: float = 0.0) -> Answer:
    """Tell whether a revision can take traffic, and why not; later than at once only if it must.

    Raises
    ------
    NotFoundError
        Where the service has no such revision.

    """
    now = service.read()
    if now is None:
        raise service.gone("ask for readiness")
    found = service.known(now, revision)
    answer = judged(service, now, found)
    if answer[0] is not Readiness.STARTING or wait <= 0:
        return answer
    changed = service.until_revision(
        revision,
        lambda one: one if _says_more(one, than=found, need=now.need) else None,
        seconds=min(wait, _LOOK_AT_PODS_EVERY),
    )
    return answer if changed is None else judged(service, now, changed)


def judged(service: Service, now: InferenceService, found: Revision) -> Answer:
    """Tell whether a revision can take traffic, asking its pods where Knative does not say so."""
    if found.warm(now.need) or (found.asleep and now.min_replicas == 0):
        return Readiness.READY, ""
    if why := refusal(now):
        return Readiness.FAILED, why
    said = last_words(service, found)
    if found.failed:
        text = one_line(f"{found.ready.reason}: {found.ready.message}")
        return Readiness.FAILED, said.text if said else text
    if said is not None:
        return (Readiness.FAILED if said.failed else Readiness.STARTING), said.text
    waiting = obstacle(now) or f"{found.replicas} of {now.need} pods are ready"
    return Readiness.STARTING, waiting


def last_words(service: Service, found: Revision) -> Words | None:
    """Ask a revision's pods what is wrong; the log of one that crashed without a word too."""
    pods = service.pods(found.name)
    said = words(pods)
    if said is None:
        return None
    if _UNSCHEDULABLE in found.ready.reason or said.text.startswith("no node"):
        return _unless_a_node_comes(service, pods, said)
    if said.silent is None:
        return said
    pod, container = said.silent
    spoken = ""
    with suppress(LaurelError):  # what it said is a kindness: no promotion hangs on it
        spoken = one_line(service.cluster.logs(pod, container, lines=_LINES, previous=True))
    return Words(said.failed, f"{said.text}; its last words: {spoken or 'none'}")


def _unless_a_node_comes(service: Service, pods: list[Json], said: Words) -> Words:
    """Wait where the cluster is about to add a node for one of these pods."""
    for pod in pods:
        name = pod.get("metadata", {}).get("name", "")
        with suppress(LaurelError):
            selector = f"involvedObject.name={name},reason={_NODE_COMING}"
            if service.cluster.list(EVENTS, fields=selector):
                return Words(failed=False, text=f"{said.text} (a node is being added)")
    return said


def _says_more(one: Revision, *, than: Revision, need: int) -> bool:
    return one.warm(need) or (one.ready, one.active) != (than.ready, than.active)
