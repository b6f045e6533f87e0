"""Knative's configurations and revisions, and the deployments and autoscalers below them.

After pkg/reconciler/{configuration,revision} of Knative Serving v0.48.
"""

import re
import zlib

from tests.fakes.knative_conditions import Conditions
from tests.fakes.knative_world import Workload, World, reference
from tests.fakes.kubelet import Container, Pod
from tests.fakes.kubernetes_status import CONFIGURATION, EVENT, POD, REVISION, Json, Refused

_STABLE_WINDOW = 60.0
_GENERATION = "serving.knative.dev/configurationGeneration"
_BUFFERED = "Requests to the target are being buffered as resources are provisioned."
_NEVER = "Initial scale was never achieved"
_ACTIVATION = 30.0  # seconds over the deadline until the autoscaler gives a revision up
_UNITS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float:
    """Read a Go duration: ``90s``, ``1m30s``."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smh])", text))


def reconcile_configuration(world: World, configuration: Json) -> None:
    """Make the generation's revision, and tell which is the latest ready one."""
    name = configuration["metadata"]["name"]
    namespace = configuration["metadata"]["namespace"]
    generation = configuration["metadata"]["generation"]
    status = configuration.setdefault("status", {})
    conditions = Conditions(status, (), world.store.stamp)
    revision_name = f"{name}-{generation:05d}"
    revision = world.store.find(REVISION, namespace, revision_name)
    if revision is None:
        try:
            revision = world.store.create(REVISION, _revision(configuration, revision_name))
        except Refused as refused:
            said = refused.status["message"]
            conditions.false(
                "Ready", "RevisionFailed", f"Revision creation failed with message: {said}."
            )
    status["observedGeneration"] = generation
    if revision is not None:
        _observe(world, status, conditions, revision)
    world.store.set_status(CONFIGURATION, configuration)


def _observe(world: World, status: Json, conditions: Conditions, created: Json) -> None:
    name, namespace = created["metadata"]["name"], created["metadata"]["namespace"]
    status["latestCreatedRevisionName"] = name
    if status.get("latestReadyRevisionName") != name:
        conditions.unknown("Ready")
    ready = Conditions(created.get("status", {}), (), world.store.stamp).get("Ready")
    if ready is not None and ready["status"] == "False":
        message = f'Revision "{name}" failed with message: {ready.get("message", "")}.'
        conditions.false("Ready", "RevisionFailed", message)
    latest = status.get("latestReadyRevisionName", "")
    prefix = name.rpartition("-")[0]
    for number in range(int(name[-5:]), int(latest[-5:] or 0) - 1, -1):
        found = world.store.find(REVISION, namespace, f"{prefix}-{number:05d}")
        if found is not None and is_ready(found):
            status["latestReadyRevisionName"] = found["metadata"]["name"]
            if found["metadata"]["name"] == name:
                conditions.true("Ready")
            return


def is_ready(revision: Json) -> bool:
    found = revision.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in found)


def _revision(configuration: Json, name: str) -> Json:
    metadata = configuration["metadata"]
    template = configuration["spec"]["template"]
    labels = {
        **template["metadata"].get("labels", {}),
        "serving.knative.dev/configuration": metadata["name"],
        _GENERATION: str(metadata["generation"]),
        "serving.knative.dev/configurationUID": metadata["uid"],
        "serving.knative.dev/routingState": "pending",
        "serving.knative.dev/service": metadata["name"],
    }
    return {
        "metadata": {
            "name": name,
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": {**template["metadata"].get("annotations", {})},
            "ownerReferences": [reference(configuration)],
        },
        "spec": template["spec"],
    }


def reconcile_revision(world: World, revision: Json) -> None:
    """Run what a revision needs, and tell how that goes."""
    metadata = revision["metadata"]
    workload = world.workloads.get(metadata["uid"])
    if workload is None:
        workload = _workload(world, revision)
        world.workloads[metadata["uid"]] = workload
    status = revision.setdefault("status", {})
    conditions = Conditions(status, ("ContainerHealthy", "ResourcesAvailable"), world.store.stamp)
    conditions.initialize()
    image = revision["spec"]["containers"][0]["image"]
    now = world.clock.seconds
    ready = sum(pod.container.is_ready(now) for pod in workload.pods)
    status |= {
        "observedGeneration": metadata["generation"],
        "actualReplicas": ready,
        "desiredReplicas": workload.wanted,
        "containerStatuses": [{"name": "kserve-container", "imageDigest": image}],
    }
    if ready:
        workload.initialized = True
        conditions.true("ResourcesAvailable")
        conditions.true("ContainerHealthy")
        conditions.true("Active")
    elif not workload.wanted:
        if not workload.initialized and not conditions.is_("ResourcesAvailable", "False"):
            conditions.false("ResourcesAvailable", "ProgressDeadlineExceeded", _NEVER)
        conditions.false("Active", "NoTraffic", "The target is not receiving traffic.")
    else:
        conditions.unknown("Active", "Queued", _BUFFERED)
        _unready(world, conditions, workload)
    world.store.set_status(REVISION, revision)


def _unready(world: World, conditions: Conditions, workload: Workload) -> None:
    """Say why no pod is ready; a living pod that is only not ready any more is not noticed."""
    late = not workload.initialized and (
        world.clock.seconds - workload.created >= workload.deadline
    )
    if not workload.initialized and not late:
        for type_ in ("ResourcesAvailable", "ContainerHealthy"):
            if not conditions.is_(type_, "False"):
                conditions.unknown(type_, "Deploying")
    if late:
        message = f'ReplicaSet "{workload.revision}-deployment-{_hash(workload.revision)}" has '
        conditions.false(
            "ResourcesAvailable", "ProgressDeadlineExceeded", f"{message}timed out progressing."
        )
    if workload.failure:
        conditions.false("ResourcesAvailable", "FailedCreate", workload.failure)
    for pod in workload.pods:
        _blame(conditions, pod, late=late, was_ready=workload.initialized)


def _blame(conditions: Conditions, pod: Pod, *, late: bool, was_ready: bool) -> None:
    """Say what a pod does wrong; crashes at start are told only when it is late."""
    container = pod.container
    if container.behaviour.unschedulable:
        said = container.behaviour.unschedulable
        conditions.false("ResourcesAvailable", "Unschedulable", said)
    elif container.behaviour.unpullable:
        if late:
            conditions.false("ResourcesAvailable", "ImagePullBackOff", pod.pull_failure())
    elif container.last is not None and container.keeps_ending() and (late or was_ready):
        said = f"Container failed with: {container.last['message']}"
        conditions.false("ContainerHealthy", f"ExitCode{container.last['exitCode']}", said)


def _workload(world: World, revision: Json) -> Workload:
    metadata = revision["metadata"]
    annotations = metadata.get("annotations", {})
    deadline = seconds(annotations.get("serving.knative.dev/progress-deadline", "600s"))
    minimum = int(annotations.get("autoscaling.knative.dev/min-scale", "0"))
    now = world.clock.seconds
    return Workload(
        metadata["name"], metadata["namespace"], now, deadline, max(minimum, 1), asked_at=now
    )


def autoscale(world: World, revision: Json) -> None:
    """Decide how many pods there should be; without a route none, after a while."""
    workload = world.workloads.get(revision["metadata"]["uid"])
    if workload is None:
        return
    annotations = revision["metadata"].get("annotations", {})
    minimum = int(annotations.get("autoscaling.knative.dev/min-scale", "0"))
    window = seconds(annotations.get("autoscaling.knative.dev/window", "")) or _STABLE_WINDOW
    now = world.clock.seconds
    if not workload.initialized and now - workload.created >= workload.deadline + _ACTIVATION:
        workload.wanted = 0  # for ever: nothing tries again
        return
    state = revision["metadata"]["labels"]["serving.knative.dev/routingState"]
    if state != "reserve":
        workload.unrouted_since = None
        idle = workload.initialized and now - workload.asked_at >= window
        if minimum:
            workload.wanted = minimum
        elif idle:
            workload.wanted = 0
        return
    if workload.unrouted_since is None:
        workload.unrouted_since = now
    if now - workload.unrouted_since >= window:
        workload.wanted = 0


def run_pods(world: World, revision: Json) -> None:
    """Have as many pods as wanted, and let time pass in each."""
    workload = world.workloads.get(revision["metadata"]["uid"])
    if workload is None:
        return
    while len(workload.pods) > workload.wanted:
        gone = workload.pods.pop()
        world.store.delete(POD, gone.namespace, gone.name)
    workload.failure = ""
    while len(workload.pods) < workload.wanted:
        try:
            workload.pods.append(_started(world, revision, workload))
        except Refused as refused:
            workload.failure = refused.status["message"]
            break
    for pod in workload.pods:
        _refresh(world, pod)


def _started(world: World, revision: Json, workload: Workload) -> Pod:
    metadata = revision["metadata"]
    name = (  # one that is refused is tried again under the same name, so that all comes to rest
        f"{metadata['name']}-deployment-{_hash(metadata['name'])}-"
        f"{_hash(metadata['uid'] + str(workload.made))[:5]}"
    )
    labels = {
        **metadata["labels"],
        "app": metadata["name"],
        "serving.knative.dev/revision": metadata["name"],
    }
    labels.pop("serving.knative.dev/routingState")
    spec = revision["spec"]
    queue = {"name": "queue-proxy", "image": "queue-proxy"}
    made = world.store.create(
        POD,
        {
            "metadata": {
                "name": name,
                "namespace": metadata["namespace"],
                "labels": labels,
                "ownerReferences": [reference(revision)],
            },
            "spec": {**spec, "containers": [*spec["containers"], queue]},
        },
    )
    workload.made += 1
    image = spec["containers"][0]["image"]
    behaviour = world.behaviour(spec["containers"][0])
    container = Container(behaviour, world.clock.seconds)
    number = sum(1 for _ in world.pods())
    return Pod(name, metadata["namespace"], made["metadata"]["uid"], image, container, number)


def _refresh(world: World, pod: Pod) -> None:
    stamp = world.store.stamp()
    pod.container.advance(world.clock.seconds, stamp)
    found = world.store.find(POD, pod.namespace, pod.name)
    if found is None:
        return
    old = found.get("status", {})
    fresh = pod.status(world.clock.seconds, old.get("startTime", stamp))
    if fresh != old:
        world.store.set_status(POD, {**found, "status": fresh})
        _tell(world, pod)


def _tell(world: World, pod: Pod) -> None:
    """Write the event that a scheduler or kubelet writes."""
    behaviour = pod.container.behaviour
    if behaviour.unschedulable:
        reason, message = "FailedScheduling", behaviour.unschedulable
    elif behaviour.unpullable:
        reason, message = "Failed", pod.pull_failure()
    elif pod.container.resumes is not None:
        reason, message = "BackOff", "Back-off restarting failed container"
    else:
        return
    name = f"{pod.name}.{_hash(reason)}"
    if world.store.find(EVENT, pod.namespace, name) is None:
        involved = {"kind": "Pod", "namespace": pod.namespace, "name": pod.name, "uid": pod.uid}
        world.store.create(
            EVENT,
            {
                "metadata": {"name": name, "namespace": pod.namespace},
                "involvedObject": involved,
                "reason": reason,
                "message": message,
                "type": "Warning",
                "lastTimestamp": world.store.stamp(),
            },
        )


def _hash(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
