"""KServe's controller of an InferenceService in Knative mode.

After pkg/controller/v1beta1/inferenceservice and inference_service_status.go of KServe v0.20: the
traffic is a function of ``canaryTrafficPercent`` and of what the status remembers, traps included.
"""

import copy

from tests.fakes.knative_conditions import Conditions
from tests.fakes.knative_validation import validate_service
from tests.fakes.knative_world import World, reference
from tests.fakes.kubelet import MODEL
from tests.fakes.kubernetes_status import ISVC, POD, SERVICE, Json, Refused

FINALIZER = "inferenceservice.finalizers"
STOP = "serving.kserve.io/stop"
LEFT_ALONE = "serving.kserve.io/disable-auto-update"
_TAGS = "serving.kserve.io/enable-tag-routing"
_MODE = "serving.kserve.io/deploymentMode"
_ROLLOUT = "serving.knative.dev/rollout-duration"
_NOT_COPIED = frozenset(
    {
        "autoscaling.knative.dev/min-scale",
        "autoscaling.knative.dev/max-scale",
        "internal.serving.kserve.io/storage-initializer-sourceuri",
        "kubectl.kubernetes.io/last-applied-configuration",
        "serving.kserve.io/model-format",
    }
)
_SCALING = frozenset(
    {"minReplicas", "maxReplicas", "scaleTarget", "scaleMetric", "canaryTrafficPercent"}
)
_ELSEWHERE = _SCALING | {"timeout", "containerConcurrency", "annotations", "labels", "model"}


def reconcile_isvc(world: World, isvc: Json) -> None:
    """Bring the Knative service into the wanted form, and the status up to date."""
    metadata = isvc["metadata"]
    if "deletionTimestamp" in metadata:
        _delete(world, isvc)
        return
    if FINALIZER not in metadata.get("finalizers", []):
        metadata.setdefault("finalizers", []).append(FINALIZER)
        isvc = world.store.update(ISVC, isvc)
    status = isvc.setdefault("status", {})
    conditions = Conditions(status, ("PredictorReady", "IngressReady"), world.store.stamp)
    conditions.initialize()
    if metadata.get("annotations", {}).get(LEFT_ALONE) == "true" and conditions.is_(
        "Ready", "True"
    ):
        return
    mode = metadata.get("annotations", {}).get(_MODE) or status.get("deploymentMode", "Knative")
    status["deploymentMode"] = {"Serverless": "Knative", "RawDeployment": "Standard"}.get(
        mode, mode
    )
    if status["deploymentMode"] == "Standard":
        conditions.true("PredictorReady")
        conditions.true("IngressReady")
    elif metadata.get("annotations", {}).get(STOP, "").lower() == "true":
        _stop(world, isvc)
    else:
        _run(world, isvc, conditions)
    world.store.set_status(ISVC, isvc)


def _run(world: World, isvc: Json, conditions: Conditions) -> None:
    status = conditions.status
    try:
        seen = _service_status(world, isvc)
    except Refused as refused:
        conditions.false(
            "PredictorReady",
            "ReconcileFailed",
            "fails to reconcile predictor: fails to reconcile knative service: "
            + refused.status["message"],
        )
        return
    _propagate(world, conditions, seen)
    _model_status(world, isvc, seen, conditions)
    conditions.false("Stopped")
    for aggregate, part in (
        ("RoutesReady", "PredictorRouteReady"),
        ("LatestDeploymentReady", "PredictorConfigurationReady"),
    ):
        _aggregate(conditions, aggregate, part)
    predictor = status["components"]["predictor"]
    if "url" in predictor:
        conditions.true("IngressReady")
        status |= {key: predictor[key] for key in ("url", "address") if key in predictor}


def _aggregate(conditions: Conditions, aggregate: str, part: str) -> None:
    if conditions.is_(part, "True"):
        conditions.true(aggregate)
    elif conditions.is_(part, "False"):
        conditions.false(aggregate, f"{part} not ready")
    else:
        conditions.unknown(aggregate, f"{part} not ready")


def _service_status(world: World, isvc: Json) -> Json:
    """Write the Knative service; its status as it was before that."""
    wanted = service_of(isvc)
    namespace, name = wanted["metadata"]["namespace"], wanted["metadata"]["name"]
    found = world.store.find(SERVICE, namespace, name)
    if found is None:
        validate_service(world.store, wanted)
        world.store.create(SERVICE, wanted)
        return {}
    seen: Json = found.get("status", {})
    validate_service(world.store, wanted)  # KServe tries it out each time, changed or not
    if found["spec"] != wanted["spec"]:
        world.store.update(SERVICE, {**found, "spec": wanted["spec"]})
    return seen


def service_of(isvc: Json) -> Json:
    """Make the Knative service of an InferenceService: a pure function of it."""
    metadata, predictor = isvc["metadata"], isvc["spec"]["predictor"]
    annotations = {
        key: said for key, said in metadata.get("annotations", {}).items() if key not in _NOT_COPIED
    }
    annotations |= predictor.get("annotations", {})
    annotations.setdefault("autoscaling.knative.dev/class", "kpa.autoscaling.knative.dev")
    annotations["autoscaling.knative.dev/min-scale"] = str(predictor.get("minReplicas", 1))
    if predictor.get("maxReplicas"):
        annotations["autoscaling.knative.dev/max-scale"] = str(predictor["maxReplicas"])
    rollout = annotations.pop(_ROLLOUT, None)
    labels = {
        **metadata.get("labels", {}),
        **predictor.get("labels", {}),
        "serving.kserve.io/inferenceservice": metadata["name"],
        "component": "predictor",
    }
    pod = copy.deepcopy({k: said for k, said in predictor.items() if k not in _ELSEWHERE})
    if isinstance(model := predictor.get("model"), dict):
        pod["containers"] = [_server_of(model)]
    for container in pod.get("containers", []):
        named = {"name": "INFERENCE_SERVICE_NAME", "value": metadata["name"]}
        container.setdefault("env", []).append(named)
    pod["containerConcurrency"] = predictor.get("containerConcurrency", 0)
    timeout = predictor.get("timeout")
    if timeout is not None:
        pod |= {"timeoutSeconds": timeout, "responseStartTimeoutSeconds": timeout}
    service_metadata = {
        "name": f"{metadata['name']}-predictor",
        "namespace": metadata["namespace"],
        "labels": labels,
        "annotations": {} if rollout is None else {_ROLLOUT: rollout},
        "ownerReferences": [reference(isvc)],
    }
    template = {"metadata": {"labels": labels, "annotations": annotations}, "spec": pod}
    return {
        "metadata": service_metadata,
        "spec": {"template": template, "traffic": _traffic(isvc, annotations)},
    }


def _server_of(model: Json) -> Json:
    """Make the container that a serving runtime has for a model, so far as anybody looks at it."""
    format_ = model.get("modelFormat", {}).get("name", "unnamed")
    return {"name": MODEL, "image": f"kserve/{format_}server:v0.20.0"}


def _traffic(isvc: Json, annotations: dict[str, str]) -> list[Json]:
    """Split the traffic by the percent and by what was rolled out last, if that is known."""
    percent = isvc["spec"]["predictor"].get("canaryTrafficPercent")
    components = isvc.get("status", {}).get("components", {})
    stable = components.get("predictor", {}).get("latestRolledoutRevision")
    latest: Json = {"latestRevision": True, "percent": 100}
    if annotations.get(_TAGS) == "true":
        latest["tag"] = "latest"
    if percent is None or not stable:
        return [latest]
    latest["percent"] = percent
    if percent >= 100:
        return [latest]
    previous = {"latestRevision": False, "percent": 100 - percent, "revisionName": stable}
    return [latest, {**previous, "tag": "prev"}]


def _propagate(world: World, conditions: Conditions, seen: Json) -> None:
    """Take over what the Knative service tells, and remember what was rolled out (traps 1, 7)."""
    status = conditions.status
    told = status.setdefault("components", {}).setdefault("predictor", {})
    ready, created = seen.get("latestReadyRevisionName"), seen.get("latestCreatedRevisionName")
    _set(told, "latestCreatedRevision", created)
    _remember(told, seen.get("traffic", []), ready, created)
    _set(told, "latestReadyRevision", ready)
    service = Conditions(seen, (), world.store.stamp)
    if service.is_("Ready", "True"):
        told |= {key: seen[key] for key in ("address", "url") if key in seen}
    conditions.copy("PredictorReady", service.get("Ready"))
    conditions.copy("PredictorRouteReady", service.get("RoutesReady"))
    conditions.copy("PredictorConfigurationReady", service.get("ConfigurationsReady"))
    _set(told, "traffic", seen.get("traffic"))
    _set(status, "observedGeneration", seen.get("observedGeneration"))


def _remember(told: Json, traffic: list[Json], ready: str | None, created: str | None) -> None:
    shares: dict[str, int] = {}
    for target in traffic:
        name = target["revisionName"]
        shares[name] = shares.get(name, 0) + target["percent"]
    for target in traffic:
        if target["revisionName"] != ready or not target["latestRevision"]:
            continue
        stable = told.get("latestRolledoutRevision")
        if stable != ready:
            if target["percent"] == 100:
                _set(told, "previousRolledoutRevision", stable)
                told["latestRolledoutRevision"] = ready
        elif ready == created and target["percent"] < 100 and shares[target["revisionName"]] == 100:
            previous = told.get("previousRolledoutRevision")
            if previous:
                told["latestRolledoutRevision"] = previous


def _set(where: Json, key: str, said: object) -> None:
    if said:
        where[key] = said
    else:
        where.pop(key, None)


def _model_status(world: World, isvc: Json, seen: Json, conditions: Conditions) -> None:
    """Tell how the newest revision's first pod fares, as far as KServe looks at it."""
    status = conditions.status
    told = status["components"]["predictor"]
    model = status.setdefault("modelStatus", {"transitionStatus": "InProgress"})
    created = told.get("latestCreatedRevision", "")
    label = f"serving.knative.dev/revision={created}"
    pods = world.store.all(POD, isvc["metadata"]["namespace"], labels=label) if created else []
    ready = sum(_is_ready(pod) for pod in pods)
    model["copies"] = {"failedCopies": 0, **({"totalCopies": ready} if ready else {})}
    if not pods:
        failed = any(one["status"] == "False" for one in seen.get("conditions", []))
        _model_state(model, "FailedToLoad" if failed else "Pending")
    elif conditions.is_("Ready", "True") and created == told.get("latestReadyRevision"):
        _model_state(model, "Loaded")
    else:
        _container_state(model, pods[0])


def _is_ready(pod: Json) -> bool:
    found = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in found)


def _container_state(model: Json, pod: Json) -> None:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    for one in statuses:
        if one["name"] != "kserve-container":
            continue
        ended = one["state"].get("terminated")
        waiting = one["state"].get("waiting", {})
        if waiting.get("reason") == "CrashLoopBackOff":
            ended = one["lastState"]["terminated"]
        elif ended is not None and ended["reason"] != "Error":
            ended = None
        _model_state(model, "Pending" if ended is None else "FailedToLoad")
        if ended is not None:
            model["lastFailureInfo"] = {
                "exitCode": ended["exitCode"],
                "message": ended["message"],
                "reason": "ModelLoadFailed",
            }


def _model_state(model: Json, state: str) -> None:
    states = model.setdefault("states", {"activeModelState": ""})
    states["targetModelState"] = state
    words = {"Loaded": "UpToDate", "FailedToLoad": "BlockedByFailedLoad"}
    model["transitionStatus"] = words.get(state, "InProgress")
    if state == "Loaded":
        states["activeModelState"] = "Loaded"


def _stop(world: World, isvc: Json) -> None:
    """Take everything away, and forget what was rolled out (trap 6)."""
    namespace, name = isvc["metadata"]["namespace"], f"{isvc['metadata']['name']}-predictor"
    if world.store.find(SERVICE, namespace, name) is not None:
        world.store.delete(SERVICE, namespace, name)
    old = Conditions(isvc["status"], (), world.store.stamp).get("PredictorReady")
    if old is not None and old.get("reason") == "Stopped":
        return
    isvc["status"] = {"deploymentMode": isvc["status"]["deploymentMode"]}
    fresh = Conditions(isvc["status"], ("PredictorReady", "IngressReady"), world.store.stamp)
    fresh.false("PredictorReady", "Stopped")
    fresh.false("IngressReady", "Stopped")
    fresh.true("Stopped")


def _delete(world: World, isvc: Json) -> None:
    isvc["metadata"]["finalizers"] = [
        one for one in isvc["metadata"].get("finalizers", []) if one != FINALIZER
    ]
    world.store.update(ISVC, isvc)
