"""The rights that a promotion needs on a cluster, each with its reason.

The Roles in k8s/ have exactly these; a test compares them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.kserve.cluster import Cluster
from pipeline.kserve.resources import (
    EVENTS,
    INFERENCE_SERVICES,
    KNATIVE_SERVICES,
    NAMESPACES,
    NETWORK_POLICIES,
    PODS,
    REVISIONS,
    Resource,
)

_NAMED = {"get", "patch", "delete"}
"""Verbs on one object; a Role may give them for some names alone."""


@dataclass(frozen=True, slots=True)
class Right:
    """One right in one namespace, and why a promotion needs it."""

    verb: str
    kind: Resource
    why: str
    subresource: str = ""

    @property
    def resource(self) -> str:
        """The resource as a Role names it: ``inferenceservices/status``."""
        return f"{self.kind.plural}/{self.subresource}" if self.subresource else self.kind.plural

    def kubectl(self, namespace: str) -> str:
        """Write the command that shows whether one has it."""
        kind = f"{self.kind.plural}.{self.kind.group}" if self.kind.group else self.kind.plural
        part = f" --subresource={self.subresource}" if self.subresource else ""
        return f"kubectl auth can-i {self.verb} {kind}{part} -n {namespace}"


RIGHTS = (
    Right("get", NAMESPACES, "to tell a namespace that is missing from an empty one"),
    Right("get", INFERENCE_SERVICES, "to read what serves"),
    Right("list", INFERENCE_SERVICES, "to begin a watch"),
    Right("watch", INFERENCE_SERVICES, "to see traffic move without asking again and again"),
    Right("create", INFERENCE_SERVICES, "to make a service that is not there yet"),
    Right("patch", INFERENCE_SERVICES, "to set image, percent and what laurel.yaml sets"),
    Right("delete", INFERENCE_SERVICES, "to remove a first deploy that never got ready"),
    Right(
        "patch",
        INFERENCE_SERVICES,
        "to keep KServe from going back to the version before stable",
        subresource="status",
    ),
    Right("get", REVISIONS, "to read which image a revision has, and whether it is ready"),
    Right("list", REVISIONS, "to find what can be rolled back to"),
    Right("watch", REVISIONS, "to see a revision get ready"),
    Right("get", KNATIVE_SERVICES, "to know that no revision can still come"),
    Right(
        "patch",
        KNATIVE_SERVICES,
        "to stop a canary where a full quota keeps KServe from changing anything",
    ),
    Right("list", PODS, "to see a revision's pods: conditions do not show an unready one"),
    Right("get", PODS, "to read a pod's last words", subresource="log"),
    Right("list", EVENTS, "to read why a pod is not scheduled, or its image not pulled"),
)
"""Rights in the services' namespace; the Role in k8s/services has these and no others."""

SMOKE_RIGHTS = (
    *(
        Right(verb, PODS, "to try an image in a pod of its own before it is signed")
        for verb in ("create", "delete", "get", "list", "watch")
    ),
    Right("get", PODS, "to read its last words", subresource="log"),
    Right("list", NETWORK_POLICIES, "to be sure that untried code reaches nothing"),
)
"""Rights in the namespace of ``serving.smoke: pod``; the Role in k8s/smoke has these."""


def missing(cluster: Cluster, rights: Iterable[Right], service: str) -> list[Right]:
    """List the rights that this login lacks, asked one by one."""
    return [right for right in rights if not _may(cluster, right, service)]


def _may(cluster: Cluster, right: Right, service: str) -> bool:
    name = ""
    if right.kind == NAMESPACES:
        name = cluster.namespace
    elif right.kind == INFERENCE_SERVICES and right.verb in _NAMED:
        name = service
    elif right.kind == KNATIVE_SERVICES:
        name = f"{service}-predictor"
    return cluster.may(right.verb, right.kind, subresource=right.subresource, name=name)
