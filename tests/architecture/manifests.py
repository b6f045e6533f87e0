"""What lies in k8s/, as objects by file; tests/cluster renders it and has a server take it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

K8S = Path(__file__).parents[2] / "k8s"
Json = dict[str, Any]


def objects(folder: str) -> list[Json]:
    """Read every object of a folder's own files."""
    return [each for path in sorted((K8S / folder).glob("*.yaml")) for each in _objects(path)]


def one(folder: str, kind: str, name: str = "") -> Json:
    """Read the only object of a kind (and name) in a folder."""
    (found,) = [
        each
        for each in objects(folder)
        if each["kind"] == kind and name in {"", each["metadata"]["name"]}
    ]
    return found


def _objects(path: Path) -> Iterator[Json]:
    for each in yaml.safe_load_all(path.read_text()):
        if "kind" in each and each["kind"] != "Kustomization":
            yield each
