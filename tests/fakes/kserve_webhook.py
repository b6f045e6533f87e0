"""What the schema of InferenceServices and KServe's own webhooks make of one.

Unknown fields are dropped (or refused, if asked to be strict), wrong types are refused, the one
container gets its name and its defaults. The range of a percent is not checked: nobody does.
"""

from typing import Any

from tests.fakes.kubernetes_status import (
    ISVC,
    Json,
    Kind,
    bad_request,
    denied_by_webhook,
    invalid,
    webhook_away,
)

_DEFAULTER = "inferenceservice.kserve-webhook-server.defaulter"
_INTEGERS = ("canaryTrafficPercent", "minReplicas", "maxReplicas", "timeout", "scaleTarget")
_PREDICTOR = frozenset(
    {
        *_INTEGERS,
        "annotations",
        "labels",
        "containers",
        "initContainers",
        "containerConcurrency",
        "model",
        "serviceAccountName",
        "imagePullSecrets",
        "nodeSelector",
        "tolerations",
        "affinity",
        "volumes",
        "securityContext",
        "scaleMetric",
        "scaleMetricType",
        "runtimeClassName",
        "priorityClassName",
        "terminationGracePeriodSeconds",
        "logger",
        "batcher",
    }
)


class Webhook:
    """KServe's webhook; ``away`` has every change of an InferenceService wait in vain."""

    def __init__(self) -> None:
        self.away = False

    def prepare(self, kind: Kind, made: Json, validation: str) -> Json:
        """Make of an object what is stored; ``Refused`` where it cannot be."""
        if kind != ISVC:
            return made
        if self.away:
            raise webhook_away(_DEFAULTER)
        name = made["metadata"].get("name", "")
        predictor = made.get("spec", {}).get("predictor")
        if not isinstance(predictor, dict):
            raise invalid(ISVC, name, "spec.predictor", "Required value", "FieldValueRequired")
        _check_types(name, predictor)
        unknown = sorted(set(predictor) - _PREDICTOR)
        if unknown and validation == "Strict":
            raise bad_request(
                'InferenceService in version "v1beta1" cannot be handled as a InferenceService: '
                f'strict decoding error: unknown field "spec.predictor.{unknown[0]}"'
            )
        for key in unknown:
            del predictor[key]
        containers = predictor.get("containers", [])
        for container in containers:
            _default(container, alone=len(containers) == 1)
        return made


def _check_types(name: str, predictor: Json) -> None:
    for key in _INTEGERS:
        said = predictor.get(key)
        if isinstance(said, float):
            raise denied_by_webhook(
                _DEFAULTER,
                f"json: cannot unmarshal number {said} into Go struct field "
                f"PredictorSpec.spec.predictor.ComponentExtensionSpec.{key} of type int64",
                400,
            )
        if said is not None and (isinstance(said, bool) or not isinstance(said, int)):
            field = f"spec.predictor.{key}"
            type_ = _type(said)
            problem = (
                f'Invalid value: "{type_}": {field} in body must be of type integer: "{type_}"'
            )
            raise invalid(ISVC, name, field, problem, "FieldValueTypeInvalid")


def _type(said: Any) -> str:  # noqa: ANN401 - JSON
    kinds = {str: "string", bool: "boolean", dict: "object", list: "array"}
    return kinds[type(said)]


def _default(container: Json, *, alone: bool) -> None:
    if alone:
        container["name"] = "kserve-container"
    for port in container.get("ports", []):
        port.setdefault("protocol", "TCP")
    for probe in ("readinessProbe", "livenessProbe"):
        get = container.get(probe, {}).get("httpGet")
        if get is not None:
            get.setdefault("port", 0)
    container.setdefault("resources", {})
