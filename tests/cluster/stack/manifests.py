"""Upstream's YAML with our settings, rendered once; addresses are filled in when it is applied.

Upstream renders it with kustomize. What is needed of that is little: a list of files, a few
settings and two places in webhooks, so that they reach programs outside of pods.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.stack import versions
from tests.cluster.stack.binaries import module_folder
from tests.cluster.stack.place import cache_folder

_OURS = Path(__file__).parent / "deploy"
_CORE = "config/core"
_KSERVE_KINDS = (
    *("inferenceservices", "servingruntimes", "clusterservingruntimes"),
    *("clusterstoragecontainers", "inferencegraphs", "trainedmodels"),
)
"""Not the definitions of large language models' services, which are larger than all others."""
_RESOURCES = (
    *("configuration", "domain-mapping", "metric", "podautoscaler", "revision", "route"),
    "service",
)
_NETWORKING = ("certificate", "domain-claim", "ingress", "serverlessservice")
_SETTINGS = (
    *("autoscaler", "certmanager", "defaults", "deployment", "domain", "features", "gc"),
    *("leader-election", "logging", "observability", "tracing"),
)
_WEBHOOKS = ("configmap-validation", "defaulting", "resource-validation")
Manifest = dict[str, Any]


def manifest(name: str, **filled: str) -> str:
    """Read one rendered set, with addresses in place of the words between ``@``."""
    text = (_folder() / f"{name}.json").read_text()
    for word, value in filled.items():
        text = text.replace(f"@{word}@", value)
    return text


def lacking() -> bool:
    """Tell whether somebody has to render."""
    return not _folder().exists()


def render() -> None:
    """Render every set, where it is not there yet."""
    if not lacking():
        return
    unfinished = cache_folder() / "manifests.unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name, objects in _sets().items():
        said = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        (unfinished / f"{name}.json").write_text(json.dumps(said))
    (unfinished / "envoy.json").write_text(_bootstrap())
    unfinished.rename(_folder())


def _folder() -> Path:
    recipe = hashlib.sha256(Path(__file__).read_bytes() + Path(versions.__file__).read_bytes())
    for file in sorted(_OURS.glob("*")):
        recipe.update(file.read_bytes())
    return cache_folder() / f"manifests-{recipe.hexdigest()[:12]}"


def _sets() -> dict[str, Iterable[Manifest]]:
    serving = module_folder("knative.dev/serving", versions.SERVING)
    networking = module_folder("knative.dev/networking", versions.NETWORKING)
    caching = module_folder("knative.dev/caching", versions.CACHING)
    kourier = module_folder("knative.dev/net-kourier", versions.KOURIER)
    kserve = module_folder("github.com/kserve/kserve", versions.KSERVE)
    released = kserve / f"install/v{versions.KSERVE}/kserve-crds.yaml"
    return {
        "definitions": map(
            _terse,
            [
                *_read(serving / _CORE / "300-resources", _RESOURCES),
                *_read(networking / "config", _NETWORKING),
                *_read(caching / "config", ["image"]),
                *filter(_ours, _documents(released)),
            ],
        ),
        "configuration": _set(
            [
                *_documents(_OURS / "objects.yaml"),
                *_read(serving / _CORE / "configmaps", _SETTINGS),
                *_documents(networking / "config/config-network.yaml"),
                *_documents(kourier / "config/200-config.yaml"),
                *_documents(kserve / "config/configmap/inferenceservice.yaml"),
            ]
        ),
        "webhooks": map(_at_port, _read(serving / _CORE / "webhooks", _WEBHOOKS)),
        "kserve-webhooks": map(_by_url, _documents(kserve / "config/webhook/manifests.yaml")),
    }


def _bootstrap() -> str:
    """Take Kourier's own configuration of Envoy, with an address for its name.

    A name would cost a question for an IPv6 address that nobody answers for a minute.
    """
    kourier = module_folder("knative.dev/net-kourier", versions.KOURIER)
    (found,) = _documents(kourier / "config/200-bootstrap.yaml")
    said = yaml.safe_load(found["data"]["envoy-bootstrap.yaml"])
    return json.dumps(said).replace("net-kourier-controller.knative-serving", "@kourier@")


def _read(folder: Path, names: Iterable[str]) -> Iterator[Manifest]:
    for name in names:
        yield from _documents(folder / f"{name}.yaml")


def _documents(path: Path) -> Iterator[Manifest]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return filter(None, yaml.load_all(path.read_text(), loader))  # both are safe ones


def _ours(definition: Manifest) -> bool:
    plural, _, group = definition["metadata"]["name"].partition(".")
    return group == "serving.kserve.io" and plural in _KSERVE_KINDS


def _terse(said: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Leave descriptions out: most of the bytes, and seconds of every start."""
    if isinstance(said, dict):
        kept = said.items()
        return {k: _terse(v) for k, v in kept if k != "description" or not isinstance(v, str)}
    return [_terse(each) for each in said] if isinstance(said, list) else said


def _set(objects: list[Manifest]) -> list[Manifest]:
    """Write our settings over the defaults."""
    named = {_name(each): each for each in objects}
    for change in _documents(_OURS / "settings.yaml"):
        found = named[_name(change)]
        found["data"] = {**(found.get("data") or {}), **change["data"]}
    return objects


def _name(said: Manifest) -> tuple[str, str, str]:
    metadata = said["metadata"]
    return said["kind"], metadata.get("namespace", ""), metadata["name"]


def _at_port(configuration: Manifest) -> Manifest:
    for webhook in configuration["webhooks"]:
        webhook["clientConfig"]["service"]["port"] = 8443
    return configuration


def _by_url(configuration: Manifest) -> Manifest:
    """Call KServe's webhooks by address: there is no Service, and nobody who makes certificates."""
    del configuration["metadata"]["creationTimestamp"]
    for webhook in configuration["webhooks"]:
        path = webhook["clientConfig"]["service"]["path"]
        url = f"https://@host@:9443{path}"
        webhook["clientConfig"] = {"url": url, "caBundle": "@authority@"}
    return configuration
