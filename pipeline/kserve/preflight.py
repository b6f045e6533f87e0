"""What would stop a promotion on a cluster, found before anything is built or changed.

Nothing is remembered: rights and modes change. What nobody may see from here, such as whether nodes
reach the registry or a secret exists, shows at 0 %, before any traffic.
"""

import re
from collections.abc import Iterable, Iterator

from pipeline.domain.evidence import Refused
from pipeline.domain.plan import Plan
from pipeline.kserve.adoption import STOP, foreign, preview
from pipeline.kserve.annotations import annotations_of
from pipeline.kserve.cluster import Cluster
from pipeline.kserve.inference import LEFT_ALONE
from pipeline.kserve.json_patch import Json
from pipeline.kserve.resources import INFERENCE_SERVICES, REVISIONS
from pipeline.kserve.rights import RIGHTS, SMOKE_RIGHTS, Right, missing
from pipeline.kserve.spec import MODE

_KNATIVE = {"Knative", "Serverless"}  # the latter until KServe 0.15
_ADVICE = {
    r"(?i)node-?selector": "node_selector needs Knative's flag: kubectl patch configmap "
    "config-features -n knative-serving --type merge "
    '-p \'{"data":{"kubernetes.podspec-nodeselector":"enabled"}}\'',
    r"EmptyDir volume support is disabled": "images write to a volume at /tmp, which needs "
    "Knative's flag kubernetes.podspec-volumes-emptydir: enabled (its default) in config-features",
    r"timeoutSeconds": "timeout is longer than the cluster's max-revision-timeout-seconds "
    "(config-defaults in knative-serving): shorten it, or raise that and serving.max_timeout",
    r"max-?scale": "replicas.max does not fit the cluster's max-scale-limit (config-autoscaler in "
    "knative-serving): write one that does",
    r"(?i)violates PodSecurity": "the namespace's pod security level does not take the pod; "
    "Laurel's container fits `restricted`, so look at what else the InferenceService sets",
}
"""Fixes of refusals, by words of theirs."""


def objection(cluster: Cluster, plan: Plan, smoke: Cluster | None = None) -> str | None:
    """Say in a clause, with the fix, why this service cannot be rolled out there at all.

    Where that is somebody else's InferenceService, the change that ``adopt: true`` would make
    follows from the second line on.
    """
    return next(_objections(cluster, plan, smoke), None)


def advice(message: str) -> str:
    """Say what to do about refusals of Knative's that are known; ``""`` about any other."""
    return "; ".join(fix for words, fix in _ADVICE.items() if re.search(words, message))


def _objections(cluster: Cluster, plan: Plan, smoke: Cluster | None) -> Iterator[str]:
    for kind, product in ((INFERENCE_SERVICES, "KServe"), (REVISIONS, "Knative Serving")):
        if not cluster.serves(kind):
            yield (
                f"the cluster knows no {kind.plural}.{kind.group}: install {product} "
                "(docs/kserve.md says which versions)"
            )
    yield from _lacking(cluster, RIGHTS, plan.service, "k8s/services")
    if smoke is not None:
        yield from _lacking(smoke, SMOKE_RIGHTS, plan.service, "k8s/smoke")
    if not cluster.exists():
        yield (
            f"the namespace {cluster.namespace} is not there: kubectl create namespace "
            f"{cluster.namespace}, or mend serving.namespace"
        )
    isvc = cluster.get(INFERENCE_SERVICES, plan.service)
    if isvc is not None:
        yield from _of_service(isvc, plan)


def _lacking(cluster: Cluster, rights: Iterable[Right], service: str, role: str) -> Iterator[str]:
    lacking = missing(cluster, rights, service)
    if lacking:
        told = "; ".join(
            f"may not {right.verb} {right.resource} {right.why} "
            f"({right.kubectl(cluster.namespace)})"
            for right in lacking
        )
        yield f"this login, in the namespace {cluster.namespace}, {told}: kubectl apply -k {role}"


def _of_service(isvc: Json, plan: Plan) -> Iterator[str]:
    metadata, where = isvc["metadata"], _where(isvc)
    if metadata.get("deletionTimestamp"):
        yield "it is being deleted: wait until it is gone"
    mode = _mode(isvc)
    if mode and mode not in _KNATIVE:
        yield (
            f"it runs in KServe's mode {mode}, where a canary's percent is silently ignored, and a "
            "mode cannot be changed: delete the InferenceService, and let Laurel create it, or "
            f"create it anew with the annotation {MODE}: Knative"
        )
    if str(annotations_of(isvc).get(STOP, "")).lower() == "true":
        yield f"it is stopped: kubectl annotate inferenceservice {where} {STOP}-"
    if annotations_of(isvc).get(LEFT_ALONE) == "true":
        yield (
            "KServe is asked to leave it as it is, so that no change would be carried out: "
            f"kubectl annotate inferenceservice {where} {LEFT_ALONE}-"
        )
    if foreign(isvc) is not None:
        taken = preview(isvc, plan)
        if isinstance(taken, Refused):
            yield "\n".join([taken.reason, *taken.evidence.get("diff", "").splitlines()])


def _where(isvc: Json) -> str:
    metadata = isvc["metadata"]
    return f"{metadata['name']} -n {metadata.get('namespace', 'default')}"


def _mode(isvc: Json) -> str:
    """Read the deployment mode: as KServe recorded it, else as it was asked for."""
    recorded = (isvc.get("status") or {}).get("deploymentMode")
    return str(recorded or annotations_of(isvc).get(MODE) or "")
