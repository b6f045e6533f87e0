"""What a promotion leaves behind, disturbed or not: the same, and no revision more.

A course says how a promotion begins and what happens meanwhile. Each is carried out by a worker of
its own, which dies or stops where a test wants it (:mod:`tests.cluster.mortal_laurel`).
"""

import os
import signal
import subprocess
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.domain.promotion import Control, ControlKind, Phase, Promotion
from tests.cluster.mortal_laurel import REACHED, WRITE
from tests.cluster.promotions import PATIENCE, Promotions
from tests.cluster.services import ready, split
from tests.cluster.stack.api import Object
from tests.cluster.traffic import Traffic
from tests.servers.laurel import SERVICE
from tests.servers.waiting import until

MORTAL = ("-m", "tests.cluster.mortal_laurel")
QUICK = {"steps": [20, 50], "interval": "1s", "min_samples": 10, "look_every": "300ms"}
HOURS = {**QUICK, "steps": [50], "interval": "1h"}
"""A canary that does not end by itself."""
_MANY = 30
_NAMED = ("sequence", "digest", "model")


@dataclass(frozen=True)
class Course:
    """One way through a promotion.

    Parameters
    ----------
    begin
        Moves the alias.
    canary
        The steps of its canary.
    meanwhile
        What a person does once the canary has traffic.
    steps
        At the ends of which the worker is disturbed, besides after each write.
    writes
        How many times it changes the cluster at least.

    """

    begin: Callable[[Promotions], object]
    canary: dict[str, Any]
    meanwhile: Callable[[Promotions], object]
    steps: tuple[str, ...]
    writes: int


@dataclass(frozen=True)
class Left:
    """What a promotion left: all but the names of what it was about."""

    phase: Phase
    service: Object
    revisions: int


def _nothing(_: Promotions) -> None:
    """Let it run."""


def _to_the_first(service: Promotions) -> None:
    """Return to version 1, whose pods still stand."""
    if stable_version(service) == 1:
        service.laurel.change(canary=QUICK)
        service.laurel.start("worker")
        service.serve()
        service.laurel.kill()
    service.model.point(1)


def _abort(service: Promotions) -> None:
    """Record a person's decision, as the receiver does."""
    promotion = service.laurel.promotions()[-1]
    at = datetime.now(UTC)
    service.laurel.ledger.controls.add(promotion.id, Control(ControlKind.ABORT, "ada", "no", at))


COURSES = {
    "to its end": Course(
        Promotions.move, QUICK, _nothing, ("deploy", "prove", "canary", "complete"), 4
    ),
    "back to a version before": Course(_to_the_first, QUICK, _nothing, (), 4),
    "aborted half way": Course(Promotions.move, HOURS, _abort, (), 4),
}


class Walk:
    """One promotion on its course."""

    def __init__(self, service: Promotions, course: Course, seen: Traffic) -> None:
        self.laurel = service.laurel
        self._service = service
        self._course = course
        self._seen = seen
        self._before = revisions(service)
        course.begin(service)
        self._before |= revisions(service) if course.begin is _to_the_first else set()
        self._number = len(service.laurel.promotions()) + 1
        self._done = False
        service.laurel.change(canary=course.canary)
        (service.laurel.folder / REACHED).unlink(missing_ok=True)

    @property
    def points(self) -> list[str]:
        """Where its worker is disturbed."""
        return [WRITE, *(f"step_ended:{name}" for name in self._course.steps)]

    def start(self, how: str, points: list[str]) -> subprocess.Popen[bytes]:
        """Start a worker that dies or stops at these points."""
        self.laurel.start("worker", point=f"{how}@{','.join(points)}")
        assert self.laurel.process is not None
        return self.laurel.process

    def until(self, disturbed: Callable[[], object], what: str) -> bool:
        """Wait until the worker was disturbed, or for the promotion's end; tell whether it ended.

        What happens meanwhile happens once.
        """
        until(lambda: self._over() or disturbed(), what, PATIENCE, self.laurel.story)
        return self._over() is not None

    def reached(self) -> list[str]:
        """Name the points that were reached, in that order."""
        log: Path = self.laurel.folder / REACHED
        return log.read_text().split() if log.exists() else []

    def left(self) -> Left:
        """Say what stands there when all has settled."""
        ended = self._over()
        assert ended is not None
        self.laurel.kill()
        self._service.services.wait(SERVICE, _settled)
        state = self.laurel.state()
        assert state.stable is not None
        assert (state.canary, state.drift, state.stable.percent) == (None, "", 100)
        made = revisions(self._service) - self._before
        return Left(ended.phase, without_names(self._service.services.read(SERVICE)), len(made))

    def complete(self) -> bool:
        """Tell whether it was disturbed wherever it should be."""
        reached = self.reached()
        return set(self.points) <= set(reached) and reached.count(WRITE) >= self._course.writes

    def _over(self) -> Promotion | None:
        promotions = self.laurel.promotions()
        if len(promotions) < self._number:
            return None
        now = promotions[self._number - 1]
        if not self._done and self._seen.versions()[str(now.model.version)]:
            self._done = True
            self._course.meanwhile(self._service)
        return now if now.phase.ended else None


def undisturbed(service: Promotions, course: Course, seen: Traffic) -> Left:
    """Carry a promotion out."""
    walk = Walk(service, course, seen)
    walk.laurel.start("worker")
    assert walk.until(lambda: False, "the end")
    return walk.left()


def killed_at_each_point(walk: Walk) -> None:
    """Have the worker killed wherever that hurts, and started again each time."""
    points = walk.points
    process = walk.start("die", points)
    while not walk.until(partial(_has_ended, process), "the end, or the worker's"):
        assert process.returncode == -signal.SIGKILL, walk.laurel.log()
        assert len(walk.reached()) < _MANY, f"it does not get on: {walk.laurel.story()}"
        points = [each for each in points if each == WRITE or each not in walk.reached()]
        process = walk.start("die", points)


def stopped_at_each_point(walk: Walk, meanwhile: Callable[[Callable[[], None]], None]) -> None:
    """Have the worker stand still wherever that hurts; ``meanwhile`` is told how to go on."""
    process = walk.start("stop", walk.points)
    while not walk.until(partial(stands_still, process), "the end, or the worker stopping"):
        meanwhile(partial(process.send_signal, signal.SIGCONT))


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


def stands_still(process: subprocess.Popen[bytes]) -> bool:
    """Tell, once, that a worker has stopped."""
    return os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG) is not None


def stable_version(service: Promotions) -> int:
    """Read which version is stable."""
    annotations = service.services.read(SERVICE)["metadata"]["annotations"]
    return int(annotations["laurel.dev/model"].rpartition("/")[2])


def revisions(service: Promotions) -> set[str]:
    """Name every revision there is."""
    found = service.services.api.items(service.services.knative("revisions"))
    return {each["metadata"]["name"] for each in found}


def without_names(found: Object) -> Object:
    """Take what names versions and revisions out of an InferenceService."""
    spec, annotations = deepcopy(found["spec"]), dict(found["metadata"]["annotations"])
    for container in spec["predictor"]["containers"]:
        container["image"] = "an image"
    for key in _NAMED:
        annotations[f"laurel.dev/{key}"] = f"a {key}"
    conditions = {each["type"]: each["status"] for each in found["status"]["conditions"]}
    return {"spec": spec, "annotations": annotations, "conditions": conditions}


def _settled(found: Object) -> bool:
    """Tell whether one revision has everything, and KServe says that all is well."""
    return ready(found) and [share for share in split(found).values() if share] == [100]
