"""The fields of an InferenceService that laurel.yaml sets: where they stand, and their values.

A field is named by a path: below the predictor, below its container (``container``), below
``annotations`` of the InferenceService, or ``env`` and a variable's name. Nothing but dictionaries
is on a path, so that what others set beside a field stays.
"""

from typing import Any

from pipeline.domain.kubernetes import parse_quantity
from pipeline.domain.plan import EnvVar, Plan
from pipeline.domain.pods import PodPlan, Probe
from pipeline.kserve.json_patch import Json

Path = tuple[str, ...]
CONTAINER = "kserve-container"
PROGRESS_DEADLINE = "serving.knative.dev/progress-deadline"
WINDOW = "autoscaling.knative.dev/window"
PANIC_WINDOW = "autoscaling.knative.dev/panic-window-percentage"
_PANIC_SECONDS = 6  # Knative's own: a tenth of its window of 60 s
_PROBE = ("container", "readinessProbe")
_RESOURCES = ("container", "resources")
_ALONE = ("imagePullSecrets", "maxReplicas", "minReplicas", "serviceAccountName", "timeout")


def wanted(plan: Plan) -> dict[Path, Any]:
    """List the fields that this service's settings set, with their values."""
    pods = plan.pods
    return (
        _scaling(pods)
        | _pod(pods)
        | {("env", variable.name): _variable(variable) for variable in plan.env}
        | ({} if pods.probe is None else probe_fields(pods.probe))
    )


def probe_fields(probe: Probe) -> dict[Path, Any]:
    """Write a probe, its period always: without one, Knative asks every ten seconds."""
    said = {
        "periodSeconds": probe.period,
        "timeoutSeconds": probe.timeout,
        "failureThreshold": probe.failure_threshold,
        "initialDelaySeconds": probe.initial_delay,
    }
    return {(*_PROBE, key): seconds for key, seconds in said.items() if seconds}


def removable(path: Path) -> bool:
    """Tell whether this is a field that goes when laurel.yaml does not set it any more.

    A probe stays, and so do amounts of cpu and memory: KServe would fill in its own, unseen.
    """
    match path:
        case (name,):
            return name in _ALONE
        case ("env" | "nodeSelector", _):
            return True
        case ("annotations", key):
            return key in {PROGRESS_DEADLINE, WINDOW, PANIC_WINDOW}
        case ("container", "resources", "requests" | "limits", name):
            return name not in {"cpu", "memory"}
        case _:
            return False


def container_of(isvc: Json) -> Json | None:
    """Find the container that serves; ``None`` where KServe makes one out of a ``model:``."""
    containers = isvc.get("spec", {}).get("predictor", {}).get("containers") or []
    named = (one for one in containers if one.get("name") == CONTAINER)
    return next(named, containers[0] if containers else None)


def put(isvc: Json, path: Path, value: Any) -> None:  # noqa: ANN401 - JSON
    """Set a field, in place; an equal amount written otherwise stays as it is written."""
    if path[0] == "env":
        _put_variable(isvc, value)
        return
    parent, key = _parent(isvc, path), path[-1]
    if not _equal_amounts(path, parent.get(key), value):
        parent[key] = value


def take_out(isvc: Json, path: Path) -> None:
    """Remove a field, in place; not there: nothing changes."""
    if path[0] == "env":
        container = container_of(isvc) or {}
        if "env" in container:
            container["env"] = [one for one in container["env"] if one.get("name") != path[1]]
        return
    _parent(isvc, path).pop(path[-1], None)


def _scaling(pods: PodPlan) -> dict[Path, Any]:
    said = {
        ("minReplicas",): pods.min_replicas,
        ("maxReplicas",): pods.max_replicas,
        ("timeout",): pods.timeout,
        ("annotations", PROGRESS_DEADLINE): _seconds(pods.progress_deadline),
    }
    return {path: value for path, value in said.items() if value is not None} | _warm(pods)


def _warm(pods: PodPlan) -> dict[Path, Any]:
    """Keep pods of a revision that left the route: as long as the window over which it is judged.

    Knative's retention period counts only for what is still routed. The part of the window in
    which a burst is seen stays as long as it is without.
    """
    if not pods.keep_warm:
        return {}
    share = max(1.0, 100 * _PANIC_SECONDS / pods.keep_warm)  # 1 is the least that Knative takes
    return {
        ("annotations", WINDOW): _seconds(pods.keep_warm),
        ("annotations", PANIC_WINDOW): f"{share:g}",
    }


def _pod(pods: PodPlan) -> dict[Path, Any]:
    resources = {"requests": pods.requests, "limits": pods.limits}
    return (
        {
            (*_RESOURCES, kind, name): amount
            for kind, amounts in resources.items()
            for name, amount in sorted(amounts.items())
        }
        | ({("serviceAccountName",): pods.service_account} if pods.service_account else {})
        | (
            {("imagePullSecrets",): [{"name": name} for name in pods.pull_secrets]}
            if pods.pull_secrets
            else {}
        )
        | {("nodeSelector", key): label for key, label in sorted(pods.node_selector.items())}
    )


def _variable(variable: EnvVar) -> Json:
    if variable.secret_name is not None:
        key = {"name": variable.secret_name, "key": variable.secret_key}
        return {"name": variable.name, "valueFrom": {"secretKeyRef": key}}
    if not variable.value:  # the API server forgets an empty value
        return {"name": variable.name}
    literal = variable.value.replace("$", "$$")  # else Kubernetes puts variables in for $(NAME)
    return {"name": variable.name, "value": literal if _expands(variable.value) else variable.value}


def _expands(value: str) -> bool:
    return "$(" in value or "$$" in value


def _put_variable(isvc: Json, variable: Json) -> None:
    container = container_of(isvc) or {}
    there = container.setdefault("env", [])
    for index, one in enumerate(there):
        if one.get("name") == variable["name"]:
            there[index] = variable
            return
    there.append(variable)


def _parent(isvc: Json, path: Path) -> Json:
    """Find what holds the field's key, made on the way where it is not there."""
    match path[0]:
        case "container":
            there, keys = container_of(isvc) or {}, path[1:]
        case "annotations":
            there, keys = isvc["metadata"].setdefault("annotations", {}), path[1:]
        case _:
            there, keys = isvc["spec"]["predictor"], path
    for key in keys[:-1]:
        there = there.setdefault(key, {})
    return there


def _equal_amounts(path: Path, old: Any, new: Any) -> bool:  # noqa: ANN401 - JSON
    """Tell whether both say the same amount: the API server writes 0.5 as 500m."""
    if path[:2] != _RESOURCES or old is None:
        return False
    return parse_quantity(str(old)) == parse_quantity(new)


def _seconds(number: int | None) -> str | None:
    return None if number is None else f"{number}s"
