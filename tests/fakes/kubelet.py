"""Pods and what becomes of their containers, by what each image is like; time is a clock's.

The statuses are those that a kubelet of v1.34 writes, so far as anybody reads them.
"""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
MODEL, QUEUE = "kserve-container", "queue-proxy"
_BACK_OFFS = (0, 10, 20, 40, 80, 160, 300)


@dataclass(frozen=True)
class Behaviour:
    """What an image does.

    Parameters
    ----------
    name
        Who answers: what front and tests count.
    ready_after
        Seconds from start to ready; ``None`` is never.
    crash_after
        Seconds from start to its end, each time it is started.
    crash_after_requests
        Requests that it takes before it ends, each time.
    exit_code, oom
        How it ends.
    unpullable, unschedulable
        Why its pods never start: the words of the registry, or of the scheduler.
    status
        What it answers requests with.
    every
        Of how many requests one gets ``status``; the others get 200.
    body
        What it answers, if not what it was asked.
    output
        What it prints before it ends.

    """

    name: str = ""
    ready_after: float | None = 0.0
    crash_after: float | None = None
    crash_after_requests: int | None = None
    exit_code: int = 3
    oom: bool = False
    unpullable: str = ""
    unschedulable: str = ""
    status: int = 200
    every: int = 1
    body: bytes | None = None
    output: str = "the model ends\n"


@dataclass
class Container:
    """One model's container: running, or waiting to be started again."""

    behaviour: Behaviour
    started: float
    restarts: int = 0
    served: int = 0
    resumes: float | None = None
    last: Json | None = None
    unready: bool = False
    ends: int = 0

    def advance(self, now: float, stamp: str) -> None:
        """Let time pass: it may end, and be started again."""
        if self.behaviour.unpullable or self.behaviour.unschedulable:
            return
        while True:
            if self.resumes is not None:
                if self.resumes > now:
                    return
                self.started, self.resumes, self.served = self.resumes, None, 0
                self.restarts += 1
            after = self.behaviour.crash_after
            if after is None or self.started + after > now:
                return
            self.end(self.started + after, stamp)

    def end(self, when: float, stamp: str) -> None:
        """End now; each time it takes longer until it is started again."""
        self.last = {
            "exitCode": 137 if self.behaviour.oom else self.behaviour.exit_code,
            "reason": "OOMKilled" if self.behaviour.oom else "Error",
            "message": self.behaviour.output,
            "startedAt": stamp,
            "finishedAt": stamp,
        }
        self.resumes = when + _BACK_OFFS[min(self.ends, len(_BACK_OFFS) - 1)]
        self.ends += 1

    def is_ready(self, now: float) -> bool:
        kind = self.behaviour
        if kind.unpullable or kind.unschedulable or self.unready or self.resumes is not None:
            return False
        return kind.ready_after is not None and self.started + kind.ready_after <= now

    def is_running(self) -> bool:
        kind = self.behaviour
        return not kind.unpullable and not kind.unschedulable and self.resumes is None

    def keeps_ending(self) -> bool:
        """Tell whether it waits to be started again, and was so before."""
        return self.resumes is not None and self.restarts > 0

    def output(self, *, previous: bool) -> str:
        """Tell what it printed: this run's, or that of the run before."""
        ended = self.resumes is not None
        if previous:
            return self.behaviour.output if self.restarts or (ended and self.last) else ""
        return self.behaviour.output if ended else f"{self.behaviour.name} is up\n"


@dataclass
class Pod:
    """A pod of a revision."""

    name: str
    namespace: str
    uid: str
    image: str
    container: Container
    number: int

    def status(self, now: float, stamp: str) -> Json:
        """Write the status that it has now."""
        kind = self.container.behaviour
        if kind.unschedulable:
            failed = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            return {"phase": "Pending", "conditions": [{**failed, "message": kind.unschedulable}]}
        ready = self.container.is_ready(now)
        up = self.container.is_running()
        not_ready = [] if ready else [*([] if up else [MODEL]), QUEUE]
        why = {
            "reason": "ContainersNotReady",
            "message": f"containers with unready status: [{' '.join(not_ready)}]",
        }
        conditions = [
            {"type": "PodReadyToStartContainers", "status": "True"},
            {"type": "Initialized", "status": "True"},
            {"type": "Ready", "status": str(ready), **({} if ready else why)},
            {"type": "ContainersReady", "status": str(ready), **({} if ready else why)},
            {"type": "PodScheduled", "status": "True"},
        ]
        address = f"10.244.1.{self.number % 250 + 2}"
        return {
            "phase": "Pending" if kind.unpullable else "Running",
            "conditions": conditions,
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": stamp,
            "containerStatuses": [self._model(stamp), _queue(stamp, ready=ready)],
        }

    def _model(self, stamp: str) -> Json:
        state: Json = {"running": {"startedAt": stamp}}
        if self.container.behaviour.unpullable:
            state = {"waiting": {"reason": "ImagePullBackOff", "message": self.pull_failure()}}
        elif self.container.resumes is not None:
            wait = _BACK_OFFS[min(self.container.ends - 1, len(_BACK_OFFS) - 1)]
            message = (
                f"back-off {wait}s restarting failed container={MODEL} "
                f"pod={self.name}_{self.namespace}({self.uid})"
            )
            state = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
        last = self.container.last
        return {
            "name": MODEL,
            "state": state,
            "lastState": {} if last is None else {"terminated": last},
            "ready": self.container.is_running(),
            "restartCount": self.container.restarts,
            "image": self.image,
            "imageID": "" if self.container.behaviour.unpullable else self.image,
            "started": self.container.is_running(),
        }

    def pull_failure(self) -> str:
        """Say what a kubelet says of an image that cannot be had."""
        return (
            f'Back-off pulling image "{self.image}": ErrImagePull: rpc error: code = NotFound desc '
            f'= failed to pull and unpack image "{self.image}": failed to resolve reference '
            f'"{self.image}": {self.container.behaviour.unpullable}'
        )


def _queue(stamp: str, *, ready: bool) -> Json:
    return {
        "name": QUEUE,
        "state": {"running": {"startedAt": stamp}},
        "lastState": {},
        "ready": ready,
        "restartCount": 0,
    }
