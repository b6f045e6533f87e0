"""A Plan and a verified image as the fields of an InferenceService that Laurel owns.

Pure: an object in, another out; :mod:`pipeline.kserve.json_patch` makes the patch between them.
Owned are the image, what laurel.yaml sets, Laurel's annotations with their shield, and the tag that
lets the canary be asked at 0 %. The same plan and image give the same bytes, because any difference
is a new revision.
"""

import json
from copy import deepcopy
from typing import Any

from pipeline.domain.evidence import VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.pods import Probe
from pipeline.kserve.annotations import FIELDS, UNDO, annotations_of, shield
from pipeline.kserve.fields import (
    CONTAINER,
    PROGRESS_DEADLINE,
    Path,
    container_of,
    probe_fields,
    put,
    removable,
    take_out,
    wanted,
)
from pipeline.kserve.json_patch import Json, pointer
from pipeline.kserve.resources import INFERENCE_SERVICES

PORT = 8080
READY = "/v2/health/ready"
"""Answered by every runtime (interfaces §6)."""
TMP = "laurel-tmp"
TAG_ROUTING = "serving.kserve.io/enable-tag-routing"
MODE = "serving.kserve.io/deploymentMode"
_DEFAULTS: dict[Path, Any] = {
    ("minReplicas",): 1,
    ("annotations", PROGRESS_DEADLINE): "600s",
}
"""What a service that Laurel creates has unless laurel.yaml says otherwise."""
_AMOUNTS = {"cpu": "1", "memory": "2Gi"}
"""KServe's own requests and limits, written out because it would fill them in unseen."""


def created(plan: Plan, image: VerifiedImage, namespace: str) -> Json:
    """Write a whole InferenceService for a service that the cluster does not have."""
    isvc: Json = {
        "apiVersion": f"{INFERENCE_SERVICES.group}/{INFERENCE_SERVICES.version}",
        "kind": "InferenceService",
        "metadata": {
            "name": plan.service,
            "namespace": namespace,
            "annotations": {MODE: "Knative"},
        },
        "spec": {
            "predictor": {
                "automountServiceAccountToken": False,
                "containers": [new_container()],
                "volumes": [{"name": TMP, "emptyDir": {}}],
            }
        },
    }
    for path, value in _DEFAULTS.items():
        put(isvc, path, value)
    say_resources(isvc)
    own(isvc, plan, str(image.ref))
    return isvc


def changed(isvc: Json, plan: Plan, image: VerifiedImage) -> Json:
    """Write an InferenceService of Laurel's with another image; what others set there stays.

    What a change in flight had replaced is put back first, so that twice is as good as once.
    """
    before = undone(isvc)
    after = deepcopy(before)
    own(after, plan, str(image.ref))
    return remembering(before, after)


def new_container() -> Json:
    """Write the container of Laurel's images, as locked up as they can be: they write to /tmp."""
    probe = {path[-1]: seconds for path, seconds in probe_fields(Probe()).items()}
    return {
        "name": CONTAINER,
        "env": [{"name": "PROTOCOL", "value": "v2"}],
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": READY, "port": PORT}, **probe},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": TMP, "mountPath": "/tmp"}],  # noqa: S108 - in the container
    }


def say_resources(isvc: Json) -> None:
    """Write out what KServe would fill in of cpu and memory, in place; what is said stays."""
    resources = (container_of(isvc) or {}).get("resources") or {}
    for kind in ("requests", "limits"):
        for name, amount in _AMOUNTS.items():
            if name not in (resources.get(kind) or {}):
                put(isvc, ("container", "resources", kind, name), amount)


def own(isvc: Json, plan: Plan, image: str) -> None:
    """Set the fields that Laurel owns, in place; those that it does not set any more go."""
    fields = wanted(plan)
    for path in _set_before(isvc):
        if path not in fields:
            take_out(isvc, path)
    put(isvc, ("container", "image"), image)
    for path, value in fields.items():
        put(isvc, path, value)
    put(isvc, ("annotations", TAG_ROUTING), "true")
    put(
        isvc, ("annotations", FIELDS), _compact(sorted(pointer(*p) for p in fields if removable(p)))
    )
    shield(isvc)


def remembering(before: Json, after: Json) -> Json:
    """Note on ``after`` what it replaces of ``before``, if anything."""
    if after != before:
        put(after, ("annotations", UNDO), _compact(_replaced(before, after)))
    return after


def undone(isvc: Json) -> Json:
    """Write an InferenceService with what the change in flight replaced put back.

    Stable comes back with its own settings, not only with its image.
    """
    after = deepcopy(isvc)
    noted = _noted(annotations_of(after).pop(UNDO, None))
    replaced = noted if isinstance(noted, dict) else {}
    _put_back(annotations_of(after), replaced.get("annotations"))
    _put_back(container_of(after) or {}, replaced.get("container"))
    _put_back(after["spec"]["predictor"], replaced.get("predictor"))
    return after


def image_of(isvc: Json) -> str | None:
    """Read the image that an InferenceService asks for; ``None`` where KServe chooses one."""
    image = (container_of(isvc) or {}).get("image")
    return image if isinstance(image, str) else None


def _replaced(before: Json, after: Json) -> dict[str, Json]:
    """Collect what was there before of every key that differs; ``null``: nothing was."""
    old, new = before["spec"]["predictor"], after["spec"]["predictor"]
    inside = "containers" in old
    return {
        "annotations": _differing(annotations_of(before), annotations_of(after), {UNDO}),
        "container": (
            _differing(container_of(before) or {}, container_of(after) or {}, set())
            if inside
            else {}
        ),
        "predictor": _differing(old, new, {"annotations"} | ({"containers"} if inside else set())),
    }


def _differing(old: Json, new: Json, but: set[str]) -> Json:
    keys = (old.keys() | new.keys()) - but
    return {key: old.get(key) for key in sorted(keys) if old.get(key) != new.get(key)}


def _put_back(there: Json, replaced: Any) -> None:  # noqa: ANN401 - what an annotation said
    for key, value in replaced.items() if isinstance(replaced, dict) else ():
        if value is None:
            there.pop(key, None)
        else:
            there[key] = value


def _set_before(isvc: Json) -> list[Path]:
    """Read which fields laurel.yaml set here last, and could have."""
    noted = _noted(annotations_of(isvc).get(FIELDS))
    said = [one for one in noted if isinstance(one, str)] if isinstance(noted, list) else []
    paths = [tuple(_plain(part) for part in one.split("/")[1:]) for one in said]
    return [path for path in paths if removable(path)]


def _noted(text: Any) -> Any:  # noqa: ANN401 - JSON, unless somebody edited it
    """Read an annotation of Laurel's; ``None`` where there is none, or it was spoilt by hand."""
    try:
        return json.loads(text or "null")
    except (TypeError, ValueError, RecursionError):
        return None


def _plain(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _compact(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
