"""From one InferenceService to the next: JSON patches, pure, each with the guards that it needs.

Every patch is made for one object as it was read. It tests the image, the percent and the sequence
that stood there, and whatever else it changes; so it does what it says or nothing, and a patch that
failed is made anew from what is there by then.

Three rules of KServe decide the shapes (kserve.md 0, testbed.md 5): image and percent change
together, a percent on a service at rest is an order to roll back, and what KServe remembers of
earlier rollouts can turn traffic to them.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from pipeline.kserve.annotations import (
    AGAIN,
    CANARY,
    CANARY_MODEL,
    DIGEST,
    HOLD,
    MADE,
    MODEL,
    PERCENT,
    SEQUENCE,
    UNDO,
)
from pipeline.kserve.fields import CONTAINER, container_of
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.json_patch import Json, difference, pointer
from pipeline.kserve.spec import undone

_ALL = 100
_PERCENT = "canaryTrafficPercent"
_TRAFFIC = pointer("spec", "traffic")
_IN_FLIGHT = (CANARY, CANARY_MODEL, PERCENT, UNDO)
_ROLLED_OUT = pointer("status", "components", "predictor", "latestRolledoutRevision")
_PREVIOUS = pointer("status", "components", "predictor", "previousRolledoutRevision")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a promotion asks for: ``repository@sha256:…``, ``name/version``, and its sequence."""

    image: str
    model: str
    sequence: int


def begun(manifest: Json, wanted: Wanted) -> Json:
    """Write on a new InferenceService what it is for: nothing of it is stable yet."""
    after = deepcopy(manifest)
    _set(after, MADE, "true")
    _announce(after, wanted)
    return after


def started(now: InferenceService, after: Json, wanted: Wanted, *, stable: str) -> list[Json]:
    """Start a canary: the image and 0 % in one patch, with the fields that go with the image.

    ``after`` is the object with those fields; ``stable`` what serves now, for a service that Laurel
    has not yet written that on. Where nothing is stable yet, KServe knows no percent.
    """
    after = deepcopy(after)
    _announce(after, wanted)
    if not now.digest and not now.first and stable:
        _set(after, DIGEST, stable)
    if now.first:
        _leave(after, but=(CANARY, CANARY_MODEL))
    else:
        _give(after, 0)
    return _patch(now, after)


def announced(now: InferenceService, wanted: Wanted) -> list[Json]:
    """Note which image takes over, where a revision of it is there already; nothing else."""
    after = deepcopy(now.raw)
    _announce(after, wanted)
    return _patch(now, after)


def stepped(now: InferenceService, percent: int, sequence: int) -> list[Json]:
    """Give the canary this share, and change nothing else."""
    after = deepcopy(now.raw)
    _set(after, SEQUENCE, str(sequence))
    _give(after, percent)
    return _patch(now, after)


def promoted(now: InferenceService, wanted: Wanted) -> list[Json]:
    """Make the image that is asked for the stable one: it gets everything when it is ready."""
    after = deepcopy(now.raw)
    _note_stable(after, wanted)
    _leave(after)
    return _patch(now, after)


def turned_back(now: InferenceService, wanted: Wanted) -> list[Json]:
    """Order KServe to give everything to the revision before, and call what served the canary.

    For that order to mean the right one, :func:`aimed` must have named it.
    """
    after = deepcopy(now.raw)
    _set(after, CANARY, now.image)
    _set(after, CANARY_MODEL, now.model)
    _note_stable(after, wanted)
    _give(after, 0)
    return _patch(now, after)


def aborted(now: InferenceService, sequence: int, *, removing: bool) -> list[Json]:
    """Ask for stable's image again, with the settings it had.

    With 0 % in the same patch, so that the canary has nothing at once or as soon as a fresh
    revision of stable is ready (trap 4). Where no revision of the canary was ever made, that 0 %
    is an order to roll back (trap B): to stable itself, once :func:`defended` was done; or the
    percent is removed, where nothing runs that could get everything.
    """
    after = undone(now.raw)
    _set(after, SEQUENCE, str(sequence))
    container = container_of(after)
    if now.digest and container is not None:
        container["image"] = now.digest
    if removing:
        _leave(after)
    else:
        _give(after, 0)
    return _patch(now, after)


def cleaned(now: InferenceService, sequence: int) -> list[Json]:
    """Take the percent and every note of a change in flight away: what is asked for is stable."""
    after = deepcopy(now.raw)
    _set(after, SEQUENCE, str(sequence))
    _leave(after)
    return _patch(now, after)


def again(now: InferenceService, sequence: int) -> list[Json]:
    """Have Knative make another revision of the same, in place of one that it gave up for good."""
    after = deepcopy(now.raw)
    _set(after, SEQUENCE, str(sequence))
    after["spec"]["predictor"].setdefault("annotations", {})[AGAIN] = f"after {now.created}"
    return _patch(now, after)


def recorded(now: InferenceService, wanted: Wanted) -> list[Json]:
    """Note what is stable, on a service that serves it already; nothing else changes.

    Nothing at all where that note itself would make a new revision.
    """
    if not now.shielded:
        return []
    after = deepcopy(now.raw)
    _note_stable(after, wanted)
    if now.image == wanted.image and now.percent is None:
        _leave(after)
    return _patch(now, after)


def held(now: InferenceService, hold: str | None) -> list[Json]:
    """Write the hold, or take it away."""
    if not now.shielded:
        return []
    after = deepcopy(now.raw)
    if hold is None:
        after["metadata"].get("annotations", {}).pop(HOLD, None)
    else:
        _set(after, HOLD, hold)
    return difference(now.raw, after)


def defended(now: InferenceService) -> list[Json]:
    """Make KServe's memory harmless: what it would turn traffic back to is stable itself (trap 7).

    A patch of ``/status``; empty where nothing needs defence.
    """
    if not now.rolled_out or now.previous in {"", now.rolled_out}:
        return []
    return aimed(now, now.rolled_out)


def aimed(now: InferenceService, revision: str) -> list[Json]:
    """Name the revision that a rollback goes to; a patch of ``/status``, empty where it is named.

    So a worker that died after it goes on, instead of naming it again.
    """
    return [] if now.previous == revision else _named(now, revision)


def repaired(now: InferenceService, revision: str) -> list[Json]:
    """Correct KServe's memory after it turned traffic away from stable; a patch of ``/status``.

    Both of its names, or the next look at it turns traffic back again.
    """
    return [*_named(now, revision), {"op": "replace", "path": _ROLLED_OUT, "value": revision}]


def braked(service: Json, revision: str) -> list[Json]:
    """Give a revision all of a Knative service's traffic; a patch of that service.

    Only while KServe cannot change it at all: it writes over this as soon as it can. Whatever is
    not named here loses its pods after a minute.
    """
    there = service["spec"]["traffic"]
    alone = {"revisionName": revision, "latestRevision": False, "percent": _ALL, "tag": "prev"}
    return [
        {"op": "test", "path": _TRAFFIC, "value": there},
        {"op": "replace", "path": _TRAFFIC, "value": [alone]},
    ]


def _named(now: InferenceService, revision: str) -> list[Json]:
    return [
        {"op": "test", "path": _ROLLED_OUT, "value": now.rolled_out},
        {"op": "test", "path": _PREVIOUS, "value": now.previous or None},
        {"op": "add", "path": _PREVIOUS, "value": revision},
    ]


def guards(now: InferenceService) -> list[Json]:
    """Test all that a change was decided on: image, percent and sequence."""
    tests: dict[str, Any] = {
        pointer("spec", "predictor", _PERCENT): now.percent,
        **({_image_path(now): now.image} if now.image else {}),
    }
    if "annotations" in now.raw["metadata"]:
        sequence = now.annotations.get(SEQUENCE)
        tests[pointer("metadata", "annotations", SEQUENCE)] = sequence
    else:
        tests[pointer("metadata", "annotations")] = None
    return [{"op": "test", "path": path, "value": value} for path, value in tests.items()]


def _patch(now: InferenceService, after: Json) -> list[Json]:
    """Write the guarded patch; empty where nothing changes."""
    changes = difference(now.raw, after)
    tested = guards(now) if changes else []
    return [*tested, *(one for one in changes if one not in tested)]


def _image_path(now: InferenceService) -> str:
    containers = now.raw["spec"]["predictor"]["containers"]
    named = [at for at, one in enumerate(containers) if one.get("name") == CONTAINER]
    return pointer("spec", "predictor", "containers", named[0] if named else 0, "image")


def _set(after: Json, key: str, value: str) -> None:
    after["metadata"].setdefault("annotations", {})[key] = value


def _announce(after: Json, wanted: Wanted) -> None:
    _set(after, SEQUENCE, str(wanted.sequence))
    _set(after, CANARY, wanted.image)
    _set(after, CANARY_MODEL, wanted.model)


def _note_stable(after: Json, wanted: Wanted) -> None:
    _set(after, SEQUENCE, str(wanted.sequence))
    _set(after, DIGEST, wanted.image)
    if wanted.model:
        _set(after, MODEL, wanted.model)


def _give(after: Json, percent: int) -> None:
    after["spec"]["predictor"][_PERCENT] = percent
    _set(after, PERCENT, str(percent))


def _leave(after: Json, *, but: tuple[str, ...] = ()) -> None:
    after["spec"]["predictor"].pop(_PERCENT, None)
    for key in _IN_FLIGHT:
        if key not in but:
            after["metadata"].get("annotations", {}).pop(key, None)
