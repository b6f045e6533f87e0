"""What gets into the way: parts that stop or die, and a cluster that says no."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from tests.cluster.services import inference_service
from tests.cluster.stack.api import Api, Object
from tests.cluster.stack.parts import Parts
from tests.servers.waiting import until

_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_PATIENCE = 30.0
_PROBE = "is-the-policy-known"
_IS_PROBE = f"object.metadata.name == '{_PROBE}'"
_PROBED = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "resources": ["configmaps"],
    "operations": ["CREATE"],
    "resourceNames": [_PROBE],
}


@contextmanager
def stopped(parts: Parts, name: str) -> Iterator[None]:
    """Have a part hang: it answers nobody, and its connections stay open."""
    parts.signal(name, signal.SIGSTOP)
    try:
        until(lambda: hangs(parts, name), "each thread hears it")
        yield
    finally:
        parts.signal(name, signal.SIGCONT)


def hangs(parts: Parts, name: str) -> bool:
    """Tell whether every thread of a part is stopped."""
    threads = Path(f"/proc/{parts.pid(name)}/task").glob("*/stat")
    return all(each.read_text().rpartition(")")[2].split()[0] == "T" for each in threads)


@contextmanager
def killed(parts: Parts, name: str) -> Iterator[None]:
    """Have a part away: connections to it are refused; afterwards it is started anew."""
    parts.kill(name)
    try:
        yield
    finally:
        parts.start_again(name)


def admits(api: Api, namespace: str) -> bool:
    """Tell whether KServe's webhooks and Knative's answer: objects are tried out, and not made."""
    tried = "tried-out", "nowhere/model"
    here = f"namespaces/{namespace}"
    paths = {
        f"/apis/serving.kserve.io/v1beta1/{here}/inferenceservices": inference_service(*tried),
        f"/apis/serving.knative.dev/v1/{here}/services": _knative_service(*tried),
    }
    return all(
        api.call("POST", f"{path}?dryRun=All", made)[0] == HTTPStatus.CREATED
        for path, made in paths.items()
    )


def _knative_service(name: str, image: str) -> Object:
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"template": {"spec": {"containers": [{"image": image}]}}},
    }


@contextmanager
def denied(
    api: Api,
    name: str,
    kind: tuple[str, str, str],
    message: str,
    *,
    namespace: str,
    unless: str = "false",
    operations: Sequence[str] = ("CREATE",),
) -> Iterator[None]:
    """Refuse objects by policy, as a signature verifier would; by default all of a kind.

    ``kind`` is group, version and plural; ``unless`` is CEL about ``object``. It begins once the
    API server does refuse: an admission policy takes a moment to be known.
    """
    group, version, plural = kind
    rule = {"apiGroups": [group], "apiVersions": [version], "resources": [plural]}
    here = {"kubernetes.io/metadata.name": namespace}
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": here},
            "resourceRules": [{**rule, "operations": list(operations)}, _PROBED],
        },
        "validations": [
            {"expression": f"!({_IS_PROBE})", "message": "this policy is known"},
            {"expression": f"{_IS_PROBE} || ({unless})", "message": message},
        ],
    }
    binding = {"policyName": name, "validationActions": ["Deny"]}
    places = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
    try:
        for place, said in zip(places, (spec, binding), strict=True):
            api.create(f"{_ADMISSION}/{place}", {"metadata": {"name": name}, "spec": said})
        _wait(api, namespace, refused=True)
        yield
    finally:
        for place in reversed(places):
            api.delete(f"{_ADMISSION}/{place}/{name}")
        _wait(api, namespace, refused=False)


def _wait(api: Api, namespace: str, *, refused: bool) -> None:
    """Try to create what every policy of ours refuses, without creating it."""
    path = f"/api/v1/namespaces/{namespace}/configmaps?dryRun=All"
    probe: Object = {"metadata": {"name": _PROBE}}
    until(
        lambda: (api.call("POST", path, probe)[0] == 422) is refused,
        "the admission policy is known",
        _PATIENCE,
    )


def quota(api: Api, namespace: str, **hard: str) -> None:
    """Limit what a namespace may hold; remove it by its name, ``limit``."""
    manifest = {"metadata": {"name": "limit"}, "spec": {"hard": hard}}
    api.create(f"/api/v1/namespaces/{namespace}/resourcequotas", manifest)
