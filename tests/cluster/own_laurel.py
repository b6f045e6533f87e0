"""Laurel's own image in a cluster, installed as docs/kubernetes.md says, beside other tests."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline import wiring
from pipeline.adapters.host_base import HostBase
from pipeline.adapters.host_python import PYTHON, host_files, portable
from pipeline.adapters.layer_store import LayerStore
from pipeline.domain.content import Content, File
from pipeline.domain.oci import IMAGE_CONFIG, IMAGE_MANIFEST, Base, Descriptor, Layer
from pipeline.domain.references import ImageRef
from pipeline.image.config import ImageConfig, host_platform
from pipeline.image.manifest import Manifest
from pipeline.image.tar import tar_content
from pipeline.own_image import make_image, sign_image
from pipeline.settings import Settings
from pipeline.settings.load import load_settings
from pipeline.settings.sections import RegistrySettings
from pipeline.trust.attachments import Attested, attestations
from pipeline.trust.keys import PublicKey
from tests.architecture.commands import ROOT, commands
from tests.cluster.installed import K8S, apply
from tests.cluster.stack.binaries import program
from tests.cluster.stack.node import NODE
from tests.cluster.stack.place import kept_folder
from tests.cluster.stack.whole import Whole
from tests.servers.prompt import type_
from tests.servers.waiting import until

_NOBODY = 65532
_HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
_CACHE = kept_folder() / "own-laurel"
_PAGE = ROOT / "docs" / "kubernetes.md"
NAMESPACES = ("laurel", "laurel-smoke", "ml")


@dataclass(frozen=True)
class Administrator:
    """Somebody who types what docs/kubernetes.md says, in a folder with a copy of k8s/."""

    cluster: Whole
    folder: Path
    words: Mapping[str, str]

    def type(self, *, until_: str, since: str = "") -> str:
        """Type the page's commands, from the one that begins so to the one that begins so."""
        typed = commands(_PAGE)
        first = next(n for n, each in enumerate(typed) if each.startswith(since))
        last = next(n for n, each in enumerate(typed) if each.startswith(until_))
        return "".join(map(self._typed, typed[first : last + 1]))

    def _typed(self, command: str) -> str:
        for word, meant in self.words.items():
            command = command.replace(word, meant)
        tools = f"{Path(sys.executable).parent}:{Path(program('kubectl')).parent}"
        kubeconfig = str(self.cluster.plane.kubeconfig)
        env = {"PATH": f"{tools}:{os.environ['PATH']}", "KUBECONFIG": kubeconfig}
        return type_(command, self.folder, env, OwnLaurel(self.cluster, self).story)

    def make_image(self) -> ImageRef:
        """Make Laurel's own image as ``make image`` does, and have it signed with its key."""
        file = self.folder / "laurel.yaml"
        said = yaml.safe_load(file.read_text())
        host = self.cluster.place.registry
        said["registry"] = {"location": f"{host}/own", "plain_http": [host]}
        said["worker"] = {"cache": str(_CACHE)}
        file.write_text(yaml.safe_dump(said))
        made = make_image(self.settings)
        sign_image(self.settings, made)
        (self.folder / "image").write_text(str(made))
        return made

    @property
    def settings(self) -> Settings:
        """Read what ``laurel init`` wrote, and the administrator changed."""
        return load_settings(self.folder / "laurel.yaml", {})

    def attached_to_own_image(self) -> set[str]:
        """Read by the public key alone what Laurel's own image carries."""
        image = ImageRef.parse((self.folder / "image").read_text())
        key = PublicKey.from_pem((self.folder / "laurel.pub").read_bytes())
        registry = wiring.open_images(self.settings)
        found = attestations(image, registry=registry, keys=[key], wanted=())
        return {each.statement.predicate_type for each in found if isinstance(each, Attested)}

    def edit(self, image: ImageRef, settings: Mapping[str, Any], index: str) -> None:
        """Change k8s/examples/mine: the image, the settings, and where packages come from."""
        mine = self.folder / "k8s" / "examples" / "mine"
        (mine / "laurel.yaml").write_text(yaml.safe_dump(dict(settings)))
        said = yaml.safe_load((mine / "kustomization.yaml").read_text())
        said["images"][0] |= {"newName": image.repository, "digest": image.digest.value}
        variable = {"name": "UV_DEFAULT_INDEX", "value": index}
        add = {"op": "add", "path": "/spec/template/spec/containers/1/env/-", "value": variable}
        said["patches"].append({"target": {"kind": "Deployment"}, "patch": yaml.safe_dump([add])})
        (mine / "kustomization.yaml").write_text(yaml.safe_dump(said))


def base_image(cluster: Whole) -> ImageRef:
    """Push a base for models: this machine's Python, with the name that a base must have."""
    host = cluster.place.registry
    settings = RegistrySettings(location=f"{host}/base", plain_http=(host,))
    registry = wiring.open_images(Settings(registry=settings))
    repository = settings.repository("python")
    made = HostBase(LayerStore(_CACHE / "layers")).provide(
        "host", repository, platform=host_platform(), python_version=_HERE, registry=registry
    )
    assert isinstance(made, Base)
    (interpreter,) = [each for each in host_files() if f"/{each.path}" == PYTHON]
    named = File.of(f"{interpreter.path[:-1]}{_HERE}", portable(interpreter), executable=True)
    layers = (*made.layers, Layer.plain(registry.push_blob(repository, tar_content([named]))))
    config = ImageConfig(
        architecture=host_platform().partition("/")[2],
        entrypoint=(PYTHON,),
        env=made.env,
        diff_ids=tuple(layer.diff_id for layer in layers),
    ).to_bytes()
    stored = registry.push_blob(repository, Content.of(config))
    manifest = Manifest(
        Descriptor(IMAGE_CONFIG, stored.digest, stored.size),
        tuple(layer.descriptor for layer in layers),
    ).to_bytes()
    return ImageRef(repository, registry.push_manifest(repository, manifest, IMAGE_MANIFEST))


@dataclass(frozen=True)
class OwnLaurel:
    """The installation: what is asked of its pod."""

    cluster: Whole
    administrator: Administrator

    def secret(self, name: str) -> str:
        """Read what the administrator made."""
        return (self.administrator.folder / name).read_text().strip()

    def pod(self) -> str:
        """Wait for the one pod that is ready; its address."""

        def ready() -> str | None:
            for pod in self.cluster.plane.api().items("/api/v1/namespaces/laurel/pods"):
                conditions = pod["status"].get("conditions", ())
                is_ready = {"type": "Ready", "status": "True"}
                if any(is_ready.items() <= each.items() for each in conditions):
                    return str(pod["status"]["podIP"])
            return None

        return until(ready, "Laurel's pod is ready", 180, self.story)

    def story(self) -> str:
        """Tell how its pods fare and what they said, for a test that failed."""
        kubectl, told = self.cluster.plane.kubectl, []
        for arguments in (
            ("get", "pods", "--output=wide"),
            ("get", "events"),
            ("logs", "deployment/laurel", "--container=receiver", "--tail=20"),
            ("logs", "deployment/laurel", "--container=worker", "--tail=60"),
        ):
            try:
                told.append(kubectl("--namespace=laurel", *arguments)[-6000:])
            except Exception as error:  # noqa: BLE001 - whatever can be told
                told.append(str(error))
        return "\n".join(told)


@contextmanager
def prepared(cluster: Whole, folder: Path, mlflow_url: str) -> Iterator[Administrator]:
    """Lend a cluster without Laurel, with a disk for its claim; take it away afterwards."""
    _clear(cluster)  # what a run that was killed has left
    shutil.copytree(K8S, folder / "k8s")
    apply(cluster.plane, [_volume(cluster)])
    words = {"http://mlflow.mlflow.svc.cluster.local:5000": mlflow_url}
    try:
        yield Administrator(cluster, folder, words)
    finally:
        _clear(cluster, "--wait=false")


def _clear(cluster: Whole, *options: str) -> None:
    kubectl = cluster.plane.kubectl
    kubectl("delete", "namespace", *NAMESPACES, "--ignore-not-found", *options)
    kubectl("delete", "persistentvolume", "laurel", "--ignore-not-found", *options)


def _volume(cluster: Whole) -> dict[str, Any]:
    """Make a folder of this machine what the claim gets; a cloud makes a disk by itself."""
    disk = cluster.place.folder / "disks" / os.urandom(3).hex()
    disk.mkdir(parents=True)
    os.chown(disk, _NOBODY, _NOBODY)
    on_the_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "laurel"},
        "spec": {
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadWriteOnce"],
            "claimRef": {"namespace": "laurel", "name": "laurel"},
            "local": {"path": str(disk)},
            "nodeAffinity": {
                "required": {"nodeSelectorTerms": [{"matchExpressions": [on_the_node]}]}
            },
        },
    }
