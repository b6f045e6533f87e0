"""What a path asks for, in RBAC's words."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.fakes.kubernetes_status import KINDS, Kind

_VERBS = {"GET": "get", "POST": "create", "PATCH": "patch", "DELETE": "delete"}
_BY_PLACE = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}


@dataclass(frozen=True)
class Asked:
    """One request as the server saw it; ``resource`` is ``inferenceservices/status``, say."""

    verb: str
    resource: str
    name: str
    query: dict[str, str]
    body: Any = None
    kind: Kind | None = None
    namespace: str = ""

    @property
    def how(self) -> dict[str, Any]:
        """Say how something is to be written."""
        return {
            "dry_run": self.query.get("dryRun") == "All",
            "validation": self.query.get("fieldValidation", ""),
        }


def understood(method: str, path: str, body: object) -> Asked | None:
    """Read a path as the API server does; ``None`` where it serves no such thing."""
    split = urlsplit(path)
    query = dict(parse_qsl(split.query))
    parts = [unquote(part) for part in split.path.split("/")[1:]]
    if parts[0] == "api":
        parts.insert(1, "")
    group, version, rest = parts[1], parts[2], parts[3:]
    verb = _VERBS[method]
    if not rest:
        return Asked("discover", "", f"{group}/{version}".strip("/"), query)
    if rest[0] == "selfsubjectaccessreviews":
        return Asked("create", rest[0], "", query, body)
    if rest[0] == "namespaces" and len(rest) == 2:
        return Asked(verb, "namespaces", rest[1], query)
    namespace, plural, name, subresource = [*rest[1:], "", ""][:4]
    kind = _BY_PLACE.get((group, version, plural))
    if kind is None:
        return None
    if verb == "get" and not name:
        verb = "watch" if query.get("watch") in ("true", "1") else "list"
    resource = f"{plural}/{subresource}" if subresource else plural
    return Asked(verb, resource, name, query, body, kind, namespace)
