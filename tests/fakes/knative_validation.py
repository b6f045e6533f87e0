"""What Knative's own webhook refuses, which KServe's lets pass."""

from typing import Any

from tests.fakes.kubernetes_status import POD, Json, Refused, denied_by_webhook
from tests.fakes.kubernetes_store import Review, Store

_WEBHOOK = "validation.webhook.serving.knative.dev"
_RESERVED_ENV = frozenset({"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"})
_RESERVED_PORTS = frozenset({8008, 8012, 8013, 8022, 9090, 9091})
_FLAGGED = ("nodeSelector", "tolerations", "affinity", "initContainers", "hostNetwork")
_POD = "spec.template.spec"


def validate_service(store: Store, service: Json) -> None:
    """Raise ``Refused`` as the webhook does; pods are tried out without being made."""
    problems = [*_traffic(service["spec"]["traffic"]), *_pod(service["spec"]["template"]["spec"])]
    if problems:
        raise denied_by_webhook(_WEBHOOK, "validation failed: " + "\n".join(problems))
    spec = service["spec"]["template"]["spec"]
    name = "dry-run-validationx7k2f"
    pod = {"metadata": {"name": name, "namespace": service["metadata"]["namespace"]}, "spec": spec}
    try:
        for asked in list(store.admission):
            asked(Review("CREATE", POD, pod, None, dry_run=True))
    except Refused as refused:
        why = f"dry run failed with {refused.status['message']}: spec.template"
        raise denied_by_webhook(_WEBHOOK, f"validation callback failed: {why}") from refused


def _traffic(targets: list[Json]) -> list[str]:
    total = sum(target["percent"] for target in targets)
    problems = [f"Traffic targets sum to {total}, want 100: spec.traffic"] if total != 100 else []
    return problems + [
        f"expected 0 <= {target['percent']} <= 100: spec.traffic[{at}].percent"
        for at, target in enumerate(targets)
        if not 0 <= target["percent"] <= 100
    ]


def _pod(spec: Json) -> list[str]:
    flagged = ", ".join(f"{_POD}.{key}" for key in _FLAGGED if spec.get(key))
    problems = [f"must not set the field(s): {flagged}"] if flagged else []
    for at, container in enumerate(spec["containers"]):
        problems += _container(f"{_POD}.containers[{at}]", container)
    return problems


def _container(where: str, container: dict[str, Any]) -> list[str]:
    problems = [
        f'"{one["name"]}" is a reserved environment variable: {where}.env[{at}].name'
        for at, one in enumerate(container.get("env", []))
        if one["name"] in _RESERVED_ENV
    ]
    if not container.get("image"):
        problems.append(f"missing field(s): {where}.image")
    ports = container.get("ports", [])
    if len(ports) > 1:
        problems.append(
            f"more than one container port is set: {_POD}.containers[*].ports\n"
            "Only a single port is allowed across all containers"
        )
    for port in ports:
        number, name = port.get("containerPort"), port.get("name", "")
        if number in _RESERVED_PORTS:
            problems.append(
                f"invalid value: {number} is a reserved port: {where}.ports.containerPort\n"
                f"{number} is a reserved port, please use a different value"
            )
        if name not in ("", "h2c", "http1"):
            problems.append(
                f"Port name {name} is not allowed: {where}.ports\n"
                "Name must be empty, or one of: 'h2c', 'http1'"
            )
    return problems
