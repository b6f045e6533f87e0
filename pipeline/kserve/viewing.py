"""A service as it serves: what was observed, never what was asked for."""

import json
from datetime import datetime

from pipeline.domain.references import ImageRef, parse_version
from pipeline.domain.serving import Hold, Readiness, Revision, ServiceState
from pipeline.errors import InvalidReferenceError
from pipeline.kserve.adoption import foreign
from pipeline.kserve.drift import drift
from pipeline.kserve.inference import InferenceService
from pipeline.kserve.pods import one_line
from pipeline.kserve.recovery import runs_stable
from pipeline.kserve.revisions import Revision as Seen
from pipeline.kserve.service import Service


def observe(service: Service) -> ServiceState:
    """Read what serves now, with as few calls as that takes."""
    now = service.read()
    if now is None or now.leaving:
        return ServiceState(service.name, "")
    return ServiceState(
        name=service.name,
        url=now.url,
        sequence=now.sequence,
        stable=None if now.first else _stable(service, now),
        canary=_canary(service, now),
        foreign=None if now.taken else foreign(now.raw),
        hold=hold_of(now),
        drift=drift(now),
    )


def hold_of(now: InferenceService) -> Hold | None:
    """Read the hold that stands there; ``None`` where there is none that can be read."""
    try:
        said = json.loads(now.hold)
        return Hold(
            str(said["actor"]),
            str(said["reason"]),
            datetime.fromisoformat(said["at"]),
            None if said["alias_version"] is None else int(said["alias_version"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def hold_to_json(hold: Hold) -> str:
    """Write a hold as it stands on the service."""
    said = {
        "actor": hold.actor,
        "reason": hold.reason,
        "at": hold.at.isoformat(),
        "alias_version": hold.alias_version,
    }
    return json.dumps(said, sort_keys=True)


def _stable(service: Service, now: InferenceService) -> Revision | None:
    """Read what KServe calls rolled out, with the traffic of every revision of its image."""
    seen = service.revision(now.rolled_out)
    ref = _ref(seen)
    if seen is None or ref is None:
        return None
    percent = sum(
        share
        for name, share in now.shares().items()
        if name == seen.name or (share and service.image(name) == seen.image)
    )
    model = now.model if seen.image == now.digest else ""
    return _revision(seen, ref, min(percent, 100), model, now)


def _canary(service: Service, now: InferenceService) -> Revision | None:
    """Read the canary, if one is in flight: its revision, or at 0 % the one that takes over."""
    if not now.canary:
        return None
    name = now.created
    if name == now.rolled_out and not now.first:
        return None
    seen = service.revision(name)
    ref = _ref(seen)
    if seen is None or ref is None or (seen.image != now.canary and runs_stable(now, seen.image)):
        return None
    percent = now.shares().get(seen.name, 0)
    model = now.canary_model if seen.image == now.canary else ""
    return _revision(seen, ref, percent, model, now)


def _revision(
    seen: Seen, ref: ImageRef, percent: int, model: str, now: InferenceService
) -> Revision:
    readiness, detail = _readiness(seen, now)
    return Revision(seen.name, ref, percent, readiness, _version(model), detail)


def _readiness(seen: Seen, now: InferenceService) -> tuple[Readiness, str]:
    """Tell it from the revision alone: its pods are asked where it matters."""
    if seen.warm(now.need) or (seen.asleep and now.min_replicas == 0):
        return Readiness.READY, ""
    if seen.failed:
        return Readiness.FAILED, one_line(seen.ready.said)
    return Readiness.STARTING, f"{seen.replicas} of {now.need} pods are ready"


def _ref(seen: Seen | None) -> ImageRef | None:
    """Read a revision's image by digest; ``None`` where it has none, as a tag does not."""
    try:
        return None if seen is None else ImageRef.parse(seen.image)
    except InvalidReferenceError:
        return None


def _version(model: str) -> int | None:
    try:
        return parse_version(model.rpartition("/")[2])
    except InvalidReferenceError:
        return None
