"""What became of a pod with one container, as its status says. Pure."""

from dataclasses import dataclass
from typing import Any, Self

Json = dict[str, Any]
_NEVER_STARTED = {"StartError", "ContainerCannotRun", "RunContainerError"}
_HOPELESS = {
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
}
_ORDINARY = {"Completed", "Error", ""}


@dataclass(frozen=True, slots=True)
class PodState:
    """What became of a pod.

    Parameters
    ----------
    address
        Its IP address, once its program runs.
    ended
        Whether its program ran and has ended.
    obstacle
        Why it will not start by itself, in the cluster's words.
    waiting
        Why it has not started yet.
    ended_by
        What ended it, where it did not end by itself: ``OOMKilled``.

    """

    address: str = ""
    ended: bool = False
    obstacle: str = ""
    waiting: str = ""
    ended_by: str = ""

    @classmethod
    def of(cls, pod: Json) -> Self:
        """Read a pod as the API server shows it."""
        status = pod.get("status") or {}
        containers: list[Json] = status.get("containerStatuses") or [{}]
        container = containers[0].get("state") or {}
        if (ended := container.get("terminated")) is not None:
            return cls._of_ended(ended, status)
        if "running" in container:
            return cls(address=status.get("podIP") or "")
        if status.get("phase") in {"Failed", "Succeeded"}:  # evicted, or its time is over
            return cls(ended=True, ended_by=_said(status))
        waits = container.get("waiting") or {}
        if waits.get("reason") in _HOPELESS:
            return cls(obstacle=_said(waits))
        return cls(waiting=_unscheduled(status) or _said(waits))

    @classmethod
    def _of_ended(cls, ended: Json, status: Json) -> Self:
        reason = ended.get("reason") or ""
        if reason in _NEVER_STARTED:
            return cls(obstacle=_said(ended))
        by = reason if reason not in _ORDINARY else status.get("reason") or ""
        return cls(ended=True, ended_by=by)


def _unscheduled(status: Json) -> str:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") != "True":
            return _said(condition)
    return ""


def _said(by: Json) -> str:
    """Join reason and message of whoever says something, on one line of bounded length."""
    words = ": ".join(filter(None, (by.get("reason"), by.get("message"))))
    return " ".join("".join(c if c.isprintable() else " " for c in words[:2000]).split())[:500]
