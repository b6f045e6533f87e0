"""What an API server says no with: ``Status`` bodies as a real one wrote them (v1.34)."""

from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of object as paths, messages and manifests name it."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def qualified(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


ISVC = Kind("serving.kserve.io", "v1beta1", "inferenceservices", "InferenceService")
SERVICE = Kind("serving.knative.dev", "v1", "services", "Service")
CONFIGURATION = Kind("serving.knative.dev", "v1", "configurations", "Configuration")
ROUTE = Kind("serving.knative.dev", "v1", "routes", "Route")
REVISION = Kind("serving.knative.dev", "v1", "revisions", "Revision")
POD = Kind("", "v1", "pods", "Pod")
EVENT = Kind("", "v1", "events", "Event")
KINDS = (ISVC, SERVICE, CONFIGURATION, ROUTE, REVISION, POD, EVENT)


class Refused(Exception):  # noqa: N818 - the API server's word for it is Status
    """An answer that is no success: its code, its ``Status``, and seconds to wait if it says so."""

    def __init__(self, status: Json, retry_after: int | None = None) -> None:
        super().__init__(status["message"])
        self.status = status
        self.code: int = status["code"]
        self.retry_after = retry_after


def status(code: int, reason: str, message: str, details: Json | None = None) -> Json:
    said: Json = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }
    return said if details is None else {**said, "details": details}


def _details(kind: Kind, name: str) -> Json:
    found = {"name": name, "group": kind.group, "kind": kind.plural}
    return {key: said for key, said in found.items() if said}


def not_found(kind: Kind, name: str) -> Refused:
    message = f'{kind.qualified} "{name}" not found'
    return Refused(status(404, "NotFound", message, _details(kind, name)))


def already_exists(kind: Kind, name: str) -> Refused:
    message = f'{kind.qualified} "{name}" already exists'
    return Refused(status(409, "AlreadyExists", message, _details(kind, name)))


def conflict(kind: Kind, name: str) -> Refused:
    message = (
        f'Operation cannot be fulfilled on {kind.qualified} "{name}": the object has been '
        "modified; please apply your changes to the latest version and try again"
    )
    return Refused(status(409, "Conflict", message, _details(kind, name)))


def patch_failed() -> Refused:
    """Say that a ``test`` failed, or a path is missing: the real server does not say which."""
    message = "the server rejected our request due to an error in our request"
    return Refused(status(422, "Invalid", message, {}))


def invalid(kind: Kind, name: str, field: str, problem: str, reason: str) -> Refused:
    said = f'{kind.kind}.{kind.group} "{name}" is invalid: {field}: {problem}'
    causes = [{"reason": reason, "message": problem, "field": field}]
    details = {"name": name, "group": kind.group, "kind": kind.kind, "causes": causes}
    return Refused(status(422, "Invalid", said, details))


def denied_by_policy(kind: Kind, name: str, policy: str, message: str) -> Refused:
    """Say no as a ValidatingAdmissionPolicy does."""
    why = f"ValidatingAdmissionPolicy '{policy}' with binding '{policy}' denied request: {message}"
    details = {**_details(kind, name), "causes": [{"message": why}]}
    said = f'{kind.qualified} "{name}" is forbidden: {why}'
    return Refused(status(422, "Invalid", said, details))


def denied_by_webhook(webhook: str, message: str, code: int = 403) -> Refused:
    reason = {400: "BadRequest", 403: "Forbidden", 422: "Invalid"}[code]
    return Refused(
        status(code, reason, f'admission webhook "{webhook}" denied the request: {message}')
    )


def over_quota(kind: Kind, name: str, quota: str, used: str) -> Refused:
    said = f'{kind.qualified} "{name}" is forbidden: exceeded quota: {quota}, {used}'
    return Refused(status(403, "Forbidden", said, _details(kind, name)))


def webhook_away(webhook: str) -> Refused:
    message = (
        f'Internal error occurred: failed calling webhook "{webhook}": failed to call webhook: '
        'Post "https://127.0.0.1:9443/mutate?timeout=10s": context deadline exceeded'
    )
    details = {"causes": [{"message": message.partition("occurred: ")[2]}]}
    return Refused(status(500, "InternalError", message, details))


def unauthorized() -> Refused:
    return Refused(status(401, "Unauthorized", "Unauthorized"))


def forbidden(
    user: str, verb: str, kind: Kind, resource: str, namespace: str, name: str
) -> Refused:
    called = f' "{name}"' if name else ""
    message = (
        f'{kind.qualified}{called} is forbidden: User "{user}" cannot {verb} resource '
        f'"{resource}" in API group "{kind.group}" in the namespace "{namespace}"'
    )
    return Refused(status(403, "Forbidden", message, _details(kind, name)))


def expired(version: int, oldest: int) -> Refused:
    return Refused(status(410, "Expired", f"too old resource version: {version} ({oldest})"))


def bad_request(message: str) -> Refused:
    return Refused(status(400, "BadRequest", message))


def too_many_requests(seconds: int) -> Refused:
    message = "Too many requests, please try again later."
    said = status(429, "TooManyRequests", message, {"retryAfterSeconds": seconds})
    return Refused(said, seconds)
