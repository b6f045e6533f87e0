"""Laurel's own manifests as a test installs them: rendered by kubectl, in namespaces of its own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.stack.api import Object
from tests.cluster.stack.control_plane import ControlPlane

K8S = Path(__file__).parents[2] / "k8s"
_NAMESPACE = "kubernetes.io/metadata.name"


def rendered(plane: ControlPlane, folder: Path | str) -> list[Object]:
    """Render a kustomization, a folder of k8s/ or another one."""
    said = plane.kubectl("kustomize", str(K8S / folder))
    return [each for each in yaml.safe_load_all(said) if each]


def moved(objects: list[Object], names: Mapping[str, str]) -> list[Object]:
    """Move objects to other namespaces, with whatever names the old ones."""
    return [_moved(each, names) for each in objects]


def apply(plane: ControlPlane, objects: list[Object], *options: str) -> str:
    """Apply objects on the server's side, which refuses fields that it does not know."""
    text = yaml.safe_dump_all(objects)
    return plane.kubectl(
        *("apply", "--server-side", "--force-conflicts", "--validate=strict", "--filename=-"),
        *options,
        given=text,
    )


def _moved(value: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return [_moved(each, names) for each in value]
    if not isinstance(value, dict):
        return value
    changed = {key: _moved(each, names) for key, each in value.items()}
    for key in {"namespace", _NAMESPACE} & changed.keys():
        changed[key] = names.get(changed[key], changed[key])
    if value.get("kind") == "Namespace":
        name = changed["metadata"]["name"]
        changed["metadata"] = {**changed["metadata"], "name": names.get(name, name)}
    return changed
