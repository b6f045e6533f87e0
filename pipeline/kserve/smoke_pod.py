"""The pod in which a built image is tried, and what its namespace must deny. Pure.

Its code was never seen before (law 9), so it gets nothing but the image: no account, no token, no
secret that the service does not name, no capability, no file system to write but ``/tmp``, an end
after half an hour, and a namespace whose policies deny it every connection but Laurel's.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.domain.evidence import BuiltImage
from pipeline.domain.plan import EnvVar

Json = dict[str, Any]
PORT = 8080
CONTAINER = "model"
LABELS = {"app.kubernetes.io/component": "smoke", "app.kubernetes.io/managed-by": "laurel"}
HOST, PROCESS = "laurel.dev/host", "laurel.dev/process"
LONGEST = 1800
"""Seconds after which the cluster ends a pod by itself, whatever became of Laurel."""
_USER = 65532


def smoke_pod(
    name: str,
    image: BuiltImage,
    env: Iterable[EnvVar],
    *,
    limits: Mapping[str, str],
    owner: Mapping[str, str],
) -> Json:
    """Write the pod of an image; ``owner`` are labels that tell who started it."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {**LABELS, **owner},
            "annotations": {"laurel.dev/model": str(image.model)},
        },
        "spec": {
            "activeDeadlineSeconds": LONGEST,
            "automountServiceAccountToken": False,
            "dnsConfig": {"nameservers": ["127.0.0.1"]},  # nobody there: a look-up fails at once
            "dnsPolicy": "None",
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,  # nothing in it is worth waiting for
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "runAsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(image, env, limits)],
            "volumes": [
                {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}},
            ],
        },
    }


def _container(image: BuiltImage, env: Iterable[EnvVar], limits: Mapping[str, str]) -> Json:
    return {
        "name": CONTAINER,
        "image": str(image.ref),
        "env": [_variable(each) for each in env],
        "ports": [{"containerPort": PORT}],
        "resources": {
            "limits": {"ephemeral-storage": "2Gi", **limits},
            "requests": {"cpu": "10m", "memory": "32Mi"},  # unsaid, they would be the limits
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - in the pod
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - as above
        ],
    }


def _variable(variable: EnvVar) -> Json:
    if variable.secret_name is None:
        return {"name": variable.name, "value": variable.value or ""}
    wanted = {"name": variable.secret_name, "key": variable.secret_key}
    return {"name": variable.name, "valueFrom": {"secretKeyRef": wanted}}


def denies_egress(policies: Iterable[Json]) -> bool:
    """Tell whether every pod of a namespace with these policies is denied every way out."""
    specs = [policy.get("spec") or {} for policy in policies]
    everywhere = any(
        not spec.get("podSelector") and "Egress" in (spec.get("policyTypes") or ())
        for spec in specs
    )
    return everywhere and not any(spec.get("egress") for spec in specs)
