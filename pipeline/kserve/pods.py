"""What a revision's pods say of themselves: whether they can serve, and their last words.

Knative says that a container crashes, or that an image cannot be pulled, only when the revision's
progress deadline is over; the pods say it within seconds (testbed.md 5). What is called failed here
does not mend itself by waiting:

- a container that ended twice: one restart may be bad luck, the second is its nature;
- an image that the registry says is not there, or not for this cluster; a pull that is slow, or
  that a registry which is away holds up, is waited for;
- a container that cannot be made: a Secret that is missing, a command that does not exist;
- a pod that fits nowhere, unless the cluster is about to add a node for it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.kserve.json_patch import Json
from pipeline.kserve.observed import Condition, conditions

CONTAINER = "kserve-container"
_LONGEST = 300
_HOPELESS_PULL = re.compile(
    r"not found|manifest unknown|unauthorized|authentication required|denied|forbidden|"
    r"no basic auth|no match for platform|invalid",
    re.IGNORECASE,
)
_HOPELESS = frozenset(
    {
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
_PULL = frozenset({"ErrImagePull", "ImagePullBackOff"})


@dataclass(frozen=True, slots=True)
class Words:
    """What one pod says.

    ``silent`` names the pod and container of one that crashed without telling why, and
    ``unscheduled`` a pod that fits nowhere.
    """

    failed: bool
    text: str
    silent: tuple[str, str] | tuple[()] = ()
    unscheduled: str = ""


def ready(pod: Json) -> bool:
    """Tell whether a pod takes requests."""
    gone = "deletionTimestamp" in pod.get("metadata", {})
    return not gone and conditions(pod).get("Ready", Condition()).true


def words(pods: Sequence[Json]) -> Words | None:
    """Say the worst that any of these pods says; ``None`` where none says anything."""
    said = [one for pod in pods if (one := _of(pod)) is not None]
    return next((one for one in said if one.failed), said[0] if said else None)


def one_line(text: str) -> str:
    """Make others' words one printable line of bounded length; its end says most."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text[-4000:])
    line = " ".join(printable.split())
    return line if len(line) <= _LONGEST else "…" + line[-_LONGEST:]


def _of(pod: Json) -> Words | None:
    if "deletionTimestamp" in pod.get("metadata", {}):
        return None
    scheduled = conditions(pod).get("PodScheduled", Condition())
    if scheduled.false:
        return Words(
            scheduled.reason == "Unschedulable",
            f"no node can take its pod: {one_line(scheduled.message)}",
            unscheduled=str(pod.get("metadata", {}).get("name", "")),
        )
    status = pod.get("status") or {}
    if status.get("phase") == "Failed":
        why = one_line(str(status.get("message") or status.get("reason") or ""))
        return Words(failed=True, text=f"its pod was ended: {why or 'nothing says why'}")
    every = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    said = [one for container in every if (one := _container(pod, container)) is not None]
    return next((one for one in said if one.failed), said[0] if said else None)


def _container(pod: Json, container: Json) -> Words | None:
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    reason, message = str(waiting.get("reason") or ""), str(waiting.get("message") or "")
    if reason in _PULL:
        failed = _HOPELESS_PULL.search(message) is not None
        return Words(failed, f"its image cannot be pulled ({reason}): {one_line(message)}")
    if reason in _HOPELESS:
        return Words(
            failed=True, text=f"its container cannot start ({reason}): {one_line(message)}"
        )
    last = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    if not last:
        return None
    return _crash(pod, container, last)


def _crash(pod: Json, container: Json, last: Json) -> Words:
    restarts = int(container.get("restartCount") or 0)
    running = "running" in (container.get("state") or {})
    ended = restarts if running else restarts + 1
    code, reason = last.get("exitCode"), str(last.get("reason") or "")
    how = (
        "was killed because it used more memory than its limit (OOMKilled)"
        if reason == "OOMKilled"
        else f"ended with exit code {code}"
    )
    name = str(container.get("name") or CONTAINER)
    who = "its container" if name == CONTAINER else f"its container {name}"
    times = "" if ended <= 1 else f", {ended} times"
    spoken = one_line(str(last.get("message") or ""))
    text = f"{who} {how}{times}" + (f"; its last words: {spoken}" if spoken else "")
    silent = () if spoken else (str(pod.get("metadata", {}).get("name", "")), name)
    return Words(ended > 1, text, silent)
