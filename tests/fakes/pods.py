"""A namespace whose pods become what a test says (the part of ``Cluster`` that a pod runner uses).

What pods say of themselves are statuses as a real kubelet 1.34 wrote them.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from pipeline.kserve.resources import NETWORK_POLICIES, PODS, Resource

Json = dict[str, Any]
DENIES = {"spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}}
SCHEDULED = {"type": "PodScheduled", "status": "True"}


def status(state: Json, *, phase: str = "Pending", address: str = "") -> Json:
    """Write the status of a pod whose container is in this state."""
    containers = [{"name": "model", "state": state}]
    addresses = {"podIP": address} if address else {}
    said = {"phase": phase, "conditions": [SCHEDULED], "containerStatuses": containers}
    return {**said, **addresses}


def running(address: str) -> Json:
    return status({"running": {"startedAt": "now"}}, phase="Running", address=address)


def waiting(reason: str, message: str = "") -> Json:
    return status({"waiting": {"reason": reason, "message": message}})


def terminated(reason: str, message: str = "") -> Json:
    state = {"terminated": {"exitCode": 1, "reason": reason, "message": message}}
    return status(state, phase="Failed", address="10.0.0.9")


class FakePods:
    """One namespace; each pod goes through ``statuses``, ``None`` for its removal by somebody."""

    namespace = "laurel-smoke"

    def __init__(self, *statuses: Json | None) -> None:
        self.statuses = statuses
        self.policies: list[Json] = [DENIES]
        self.pods: dict[str, Json] = {}
        self.created: list[Json] = []
        self.log = ""
        self.faults: dict[str, Exception] = {}

    def list(self, kind: Resource, *, labels: str = "", fields: str = "") -> list[Json]:
        del fields
        if kind == NETWORK_POLICIES:
            return self.policies
        wanted = dict(each.split("=") for each in labels.split(","))
        pods = self.pods.values()
        return [pod for pod in pods if wanted.items() <= pod["metadata"]["labels"].items()]

    def create(self, kind: Resource, manifest: Json) -> Json:
        assert kind == PODS
        metadata = {**manifest["metadata"], "creationTimestamp": _written(datetime.now(UTC))}
        self.pods[metadata["name"]] = {**manifest, "metadata": metadata}
        self.created.append(manifest)
        self._fault("create")
        return self.pods[metadata["name"]]

    def watch(self, kind: Resource, name: str, *, seconds: float) -> Iterator[Json | None]:
        del seconds
        assert kind == PODS
        for each in self.statuses:
            if each is None:
                del self.pods[name]
                yield None
            else:
                self.become(name, each)
                yield self.pods[name]

    def become(self, name: str, status_: Json) -> None:
        self.pods[name] = {**self.pods[name], "status": status_}

    def get(self, kind: Resource, name: str) -> Json | None:
        assert kind == PODS
        return self.pods.get(name)

    def logs(self, pod: str, container: str, *, lines: int) -> str:
        del pod, container
        self._fault("logs")
        return "\n".join(self.log.splitlines()[-lines:]) + "\n"

    def delete(self, kind: Resource, name: str) -> None:
        assert kind == PODS
        self._fault("delete")
        self.pods.pop(name, None)

    def _fault(self, verb: str) -> None:
        if verb in self.faults:
            raise self.faults[verb]


def old_pod(name: str, labels: dict[str, str], made: datetime) -> Json:
    """Write a pod that somebody made."""
    metadata = {"name": name, "labels": labels, "creationTimestamp": _written(made)}
    return {"metadata": metadata, "status": {}}


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
