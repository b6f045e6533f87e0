"""The states that a rollback begins in, and how long it takes until no user meets what was bad.

Laurel's target does it; and so does a person, who sends the same JSON patches with a bare client to
a service in the same state, knows beforehand what to write, and looks at nothing but whether the
pods are ready.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline.domain.evidence import VerifiedImage
from pipeline.kserve.json_patch import Json
from tests.cluster.grounds import Ground, Sent
from tests.cluster.services import predictor
from tests.cluster.traffic import Traffic, steady
from tests.servers.waiting import until

RATE = 50
_BEFORE = 50
_AFTER = 50
_PATIENCE = 120.0
_SECONDS_OF_PODS = 6


@dataclass(frozen=True)
class State:
    """A state to roll back from.

    Parameters
    ----------
    prepare
        Brings a service there, and says which image should serve.
    back
        How Laurel's target does it.
    revisions
        How many revisions that makes: a fresh one of what was, so that the spec says what serves.

    """

    prepare: Callable[[Ground], VerifiedImage]
    back: Callable[[Ground, VerifiedImage], None]


@dataclass(frozen=True)
class Measured:
    """What users saw of a rollback: ``seconds`` from the call to the last request of the new."""

    seconds: float
    seen: Traffic
    since: float


def _mid_canary(ground: Ground) -> VerifiedImage:
    ground.history("v1", "v2")
    ground.canary(ground.image("v3"), 50)
    return ground.image("v2")


def _just_promoted(ground: Ground) -> VerifiedImage:
    ground.pods = replace(ground.pods, keep_warm=300)
    ground.history("v1", "v2")
    return ground.image("v1")


def _without_pods(ground: Ground) -> VerifiedImage:
    ground.pods = replace(ground.pods, keep_warm=_SECONDS_OF_PODS)
    first, _ = ground.history("v1", "v2")
    _until(lambda: not ground.services.pods(first))
    return ground.image("v1")


def _two_back(ground: Ground) -> VerifiedImage:
    ground.pods = replace(ground.pods, keep_warm=300)
    ground.history("v1", "v2", "v3")
    return ground.image("v1")


def _forgotten(ground: Ground) -> VerifiedImage:
    first, _ = ground.history("v1", "v2")
    ground.services.api.delete(ground.services.knative("revisions", first))
    _until(lambda: first not in ground.revisions())
    return ground.image("v1")


def _restore(ground: Ground, _: VerifiedImage) -> None:
    ground.restore()


STATES = {
    "in the middle of a canary": State(_mid_canary, _restore),
    "promoted, what served before still has its pods": State(_just_promoted, Ground.return_to),
    "promoted, what served before has no pods any more": State(_without_pods, Ground.return_to),
    "promoted twice, back to what served before that": State(_two_back, Ground.return_to),
    "promoted, the revision that served before is gone": State(_forgotten, Ground.return_to),
}


def measured(ground: Ground, back_to: VerifiedImage, do: Callable[[], object]) -> Measured:
    """Roll back while users send requests."""
    wanted = f"v{back_to.model.version}"
    with steady(ground.users(), RATE, 8) as seen:
        seen.wait(_BEFORE)
        since = time.time()
        do()
        seen.wait(_AFTER)
    wrong = [each.at for each in seen.answers if each.at >= since and each.version != wanted]
    return Measured(max(wrong, default=since) - since, seen, since)


def by_hand(ground: Ground, sent: Sequence[Sent], other: str) -> None:
    """Send the patches that were sent to another service in the same state.

    Whatever takes the percent away waits for the pods of a revision that is newer than now.
    """
    before = predictor(ground.services.read(ground.name))["latestCreatedRevision"]
    for one in sent:
        operations = [_renamed(each, other, ground.name) for each in one.operations]
        if _gives_all(operations):
            _until(lambda: _newest_is_ready(ground, before))
        ground.edit(*operations, subresource=one.subresource)


def _gives_all(operations: Sequence[Json]) -> bool:
    return any(
        one["op"] == "remove" and one["path"].endswith("/canaryTrafficPercent")
        for one in operations
    )


def _newest_is_ready(ground: Ground, before: str) -> bool:
    now = predictor(ground.services.read(ground.name))
    created = now["latestCreatedRevision"]
    return bool(created != before and now["latestReadyRevision"] == created)


def _renamed(operation: Json, other: str, name: str) -> Json:
    """Name this service's revisions where the other's were named."""
    value = operation.get("value")
    if not isinstance(value, str):
        return operation
    own = re.sub(rf"^{re.escape(other)}-predictor-", f"{name}-predictor-", value)
    return {**operation, "value": own}


def _until(seen: Callable[[], object]) -> None:
    until(seen, "it comes so far", _PATIENCE)
