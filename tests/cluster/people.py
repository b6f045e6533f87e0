"""Others than the administrator: service accounts with the rights of a Role, and no more."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.stack.api import Api, Object
from tests.cluster.stack.control_plane import ControlPlane
from tests.cluster.stack.keys import kubeconfig

_RIGHTS = "/apis/rbac.authorization.k8s.io/v1/namespaces"
_HOURS = 8 * 3600


@dataclass(frozen=True)
class Person:
    """A service account: its kubeconfig, and its own connection."""

    kubeconfig: Path
    api: Api


def person(
    plane: ControlPlane, namespace: str, name: str, rules: list[Object], folder: Path
) -> Person:
    """Make a service account in a namespace that may do there what ``rules`` of a Role say."""
    api = plane.api()
    metadata = {"metadata": {"name": name}}
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    api.create(account, metadata)
    api.create(f"{_RIGHTS}/{namespace}/roles", {**metadata, "rules": rules})
    group = "rbac.authorization.k8s.io"
    bound = {
        **metadata,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    api.create(f"{_RIGHTS}/{namespace}/rolebindings", bound)
    return _logged_in(plane, api, namespace, name, folder)


def account(plane: ControlPlane, namespace: str, name: str, folder: Path) -> Person:
    """Log in as a service account that is there already, with whatever it may do."""
    return _logged_in(plane, plane.api(), namespace, name, folder)


def _logged_in(plane: ControlPlane, api: Api, namespace: str, name: str, folder: Path) -> Person:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    token = api.create(path, {"spec": {"expirationSeconds": _HOURS}})["status"]["token"]
    authority = plane.keys / "ca.crt"
    file = folder / f"{namespace}-{name}.kubeconfig"
    context = ssl.create_default_context(cafile=authority)
    made = kubeconfig(file, plane.url, authority, {"token": token}, namespace)
    return Person(made, Api(plane.url, context, token))
