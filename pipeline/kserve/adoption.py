"""An InferenceService that Laurel did not make: what it serves, and how it would become Laurel's.

Pure. A custom container, or a ``model:`` with its storageUri, becomes Laurel's container; what else
stands there stays. It is shown as a diff, and done only where a service's settings say
``adopt: true``. What Laurel's container could not keep is refused.
"""

import difflib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.domain.evidence import Refused, VerifiedImage
from pipeline.domain.plan import Plan
from pipeline.domain.references import ImageRef
from pipeline.errors import InvalidReferenceError
from pipeline.kserve.annotations import DIGEST, MADE, UNDO, annotations_of
from pipeline.kserve.fields import container_of, put
from pipeline.kserve.json_patch import Json
from pipeline.kserve.spec import (
    TMP,
    image_of,
    new_container,
    own,
    remembering,
    say_resources,
    undone,
)

STOP = "serving.kserve.io/stop"
_ALL = 100
_BAKED = ("/mnt/models/", "/opt/laurel/")
_OF_THE_OTHER_IMAGE = ("command", "args", "workingDir", "livenessProbe", "startupProbe")
"""What a container says of the program in it, which will be another one."""
_OF_ANY_PROGRAM = ("env", "envFrom", "resources", "securityContext", "volumeMounts")
_OF_THE_MODEL = ("model", "storageUris", "storageContainerName")
_KSERVES_OWN = "kserve-"
_NO_V2 = ("v1", "grpc-v1", "grpc-v2")


@dataclass(frozen=True, slots=True)
class Adoption:
    """The InferenceService as Laurel's, and the difference as people read it."""

    after: Json
    diff: str


def foreign(isvc: Json) -> str | None:
    """Say what an InferenceService serves that is not Laurel's; else ``None``."""
    if annotations_of(isvc).keys() & {DIGEST, MADE}:
        return None
    predictor = isvc["spec"]["predictor"]
    model = predictor.get("model")
    if isinstance(model, dict):
        made = (model.get("modelFormat") or {}).get("name", "unnamed")
        return f"the {made} model at {_source(predictor, model)}"
    return f"the image {image_of(isvc) or 'that KServe chooses'}"


def adoption(isvc: Json, plan: Plan, image: VerifiedImage) -> Adoption | Refused:
    """Write a foreign InferenceService as Laurel's, or say why that cannot be."""
    return _adoption(isvc, plan, str(image.ref))


def preview(isvc: Json, plan: Plan) -> Adoption | Refused:
    """Write the same before there is an image, to be looked at."""
    return _adoption(isvc, plan, f"{plan.repository}@sha256:…")


def _adoption(isvc: Json, plan: Plan, image: str) -> Adoption | Refused:
    before = undone(isvc)
    why = next(_obstacles(before), None)
    if why is not None:
        return Refused(f"{plan.service} cannot be taken over as it is: {why}")
    after = deepcopy(before)
    _replace_container(after)
    own(after, plan, image)
    diff = _diff(before, after)
    if not plan.pods.adopt:
        return Refused(
            f"{plan.service} serves {foreign(before)}, which Laurel did not put there: look at the "
            "change, then set adopt: true for this service, or choose another name",
            {"diff": diff},
        )
    return Adoption(remembering(before, after), diff)


def _obstacles(isvc: Json) -> Iterator[str]:
    """Name what Laurel's container could not keep, with the next step."""
    spec, predictor = isvc["spec"], isvc["spec"]["predictor"]
    for part in ("transformer", "explainer"):
        if spec.get(part):
            yield (
                f"it has a {part}, made for the server that Laurel would replace: give the "
                f"{part} an InferenceService of its own that calls this one"
            )
    if str(annotations_of(isvc).get(STOP, "")).lower() == "true":
        yield f"it is stopped: kubectl annotate inferenceservice {_name(isvc)} {STOP}-"
    if predictor.get("workerSpec"):
        yield "it runs on several nodes at once (workerSpec), and Laurel's images run on one"
    percent = predictor.get("canaryTrafficPercent")
    if percent is not None and percent != _ALL:
        yield f"a canary is under way at {percent} %: finish it first"
    if predictor.get("initContainers"):
        yield "its initContainers prepare another image: remove them"
    model = predictor.get("model")
    containers = predictor.get("containers") or []
    if isinstance(model, dict):
        yield from _obstacles_of_model(model, containers)
        yield from _hiding(model)
    elif len(containers) != 1:
        yield f"it has {len(containers)} containers, and Laurel's has all in one: remove the others"
    else:
        yield from _obstacles_of_image(isvc, containers[0])
        yield from _hiding(containers[0])


def _obstacles_of_model(model: Json, beside: list[Any]) -> Iterator[str]:
    if beside:
        yield "it has containers beside its model, and Laurel's has all in one: remove them"
    runtime = model.get("runtime") or ""
    if runtime and not runtime.startswith(_KSERVES_OWN):
        yield (
            f"its runtime {runtime} is not KServe's own, and Laurel cannot see what else it sets: "
            "remove `runtime`, or write what it sets into the InferenceService"
        )
    if model.get("protocolVersion") in _NO_V2:
        yield (
            f"its callers speak protocol {model['protocolVersion']}, and Laurel's images speak v2 "
            "and /invocations: let them speak one of these, and choose another name for the service"
        )


def _obstacles_of_image(isvc: Json, container: Json) -> Iterator[str]:
    try:
        ImageRef.parse(str(container.get("image")))
    except InvalidReferenceError:
        yield (
            f"its image {container.get('image')} is no image by digest, so there is nothing sure "
            "to go back to: write NAME@sha256:… there (kubectl get revisions -o jsonpath="
            "'{.items[*].status.containerStatuses[*].imageDigest}' "
            f"-l serving.kserve.io/inferenceservice={_name(isvc)} shows it)"
        )


def _hiding(container: Json) -> Iterator[str]:
    for mount in container.get("volumeMounts") or ():
        path = f"{str(mount.get('mountPath')).rstrip('/')}/"
        if any(path.startswith(baked) or baked.startswith(path) for baked in _BAKED):
            yield f"its volume at {path} would hide what Laurel's image has there: remove it"


def _replace_container(isvc: Json) -> None:
    """Put Laurel's container in the place of a model, or of another program's; in place."""
    predictor, ours = isvc["spec"]["predictor"], new_container()
    model = predictor.pop("model", None)
    for key in _OF_THE_MODEL:
        predictor.pop(key, None)
    if isinstance(model, dict):
        kept = {key: model[key] for key in _OF_ANY_PROGRAM if model.get(key)}
        mounts = kept.get("volumeMounts", [])
        if not any(one.get("mountPath") == "/tmp" for one in mounts):  # noqa: S108 - in the container
            kept["volumeMounts"] = [*mounts, *ours["volumeMounts"]]
            predictor.setdefault("volumes", []).append({"name": TMP, "emptyDir": {}})
        predictor["containers"] = [ours | kept]
    else:
        there = container_of(isvc) or {}
        for key in _OF_THE_OTHER_IMAGE:
            there.pop(key, None)
        there |= {key: ours[key] for key in ("name", "ports", "readinessProbe")}
    _settle_env(isvc)
    say_resources(isvc)


def _settle_env(isvc: Json) -> None:
    """Let the container say its protocol, and no place that KServe would fetch a model from."""
    container = container_of(isvc) or {}
    container["env"] = [one for one in container.get("env") or () if one["name"] != "STORAGE_URI"]
    put(isvc, ("env", "PROTOCOL"), {"name": "PROTOCOL", "value": "v2"})


def _diff(before: Json, after: Json) -> str:
    lines = difflib.unified_diff(
        _shown(before), _shown(after), "as it is", "as Laurel's", n=2, lineterm=""
    )
    return "\n".join(lines)


def _shown(isvc: Json) -> list[str]:
    """Write what a person would, without Laurel's own notes of how to go back."""
    notes = {key: said for key, said in annotations_of(isvc).items() if key != UNDO}
    shown = {"metadata": {"annotations": notes}, "spec": isvc["spec"]}
    text: str = yaml.safe_dump(shown, sort_keys=True, width=200, allow_unicode=True)
    return text.splitlines()


def _source(predictor: Json, model: Json) -> str:
    uris = [
        model.get("storageUri"),
        *(one.get("uri") for one in predictor.get("storageUris") or ()),
    ]
    storage = (model.get("storage") or {}).get("path")
    return next((str(uri) for uri in (*uris, storage) if uri), "no place that it names")


def _name(isvc: Json) -> str:
    return f"{isvc['metadata']['name']}"
