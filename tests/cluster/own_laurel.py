"""Laurel's own image in a cluster, installed as docs/kubernetes.md says, beside other tests."""

import os
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
from pipeline.settings.sections import RegistrySettings, SigningSettings, WorkerSettings
from pipeline.trust.key_file import create_key_file
from tests.cluster.installed import K8S, apply, moved, rendered
from tests.cluster.stack.node import NODE
from tests.cluster.stack.place import kept_folder
from tests.cluster.stack.whole import Whole
from tests.servers.laurel import until

_PASSWORD = "password of a test's key"
WEBHOOK_SECRET = "whsec_of_a_laurel_in_a_cluster_01"
_NOBODY = 65532
_CACHE = kept_folder() / "own-laurel"
_HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True)
class Secrets:
    """What an administrator makes before anything is installed."""

    folder: Path

    @property
    def key(self) -> Path:
        """Name the signing key."""
        return self.folder / "laurel.key"

    def write(self) -> None:
        """Make them."""
        create_key_file(self.key, _PASSWORD)
        (self.folder / "laurel.key.password").write_text(_PASSWORD)
        (self.folder / "webhook.secret").write_text(WEBHOOK_SECRET)
        (self.folder / "laurel.token").write_text("a token of a test's own")


def registry_settings(host: str, name: str) -> RegistrySettings:
    """Say where images go on a registry that is spoken to without TLS."""
    return RegistrySettings(location=f"{host}/{name}", plain_http=(host,))


def own_image(cluster: Whole, secrets: Secrets) -> ImageRef:
    """Make Laurel's own image in the cluster's registry, signed by Laurel."""
    settings = Settings(
        registry=registry_settings(cluster.place.registry, "own"),
        signing=SigningSettings(
            key=secrets.key, password_file=secrets.folder / "laurel.key.password"
        ),
        worker=WorkerSettings(cache=_CACHE),
    )
    made = make_image(settings)
    sign_image(settings, made)
    return made


def base_image(cluster: Whole) -> ImageRef:
    """Push a base for models: this machine's Python, with the name that a base must have."""
    settings = registry_settings(cluster.place.registry, "base")
    registry = wiring.open_images(Settings(registry=settings))
    repository = settings.repository("python")
    host = HostBase(LayerStore(_CACHE / "layers")).provide(
        "host", repository, platform=host_platform(), python_version=_HERE, registry=registry
    )
    assert isinstance(host, Base)
    (interpreter,) = [each for each in host_files() if f"/{each.path}" == PYTHON]
    named = File.of(f"{interpreter.path[:-1]}{_HERE}", portable(interpreter), executable=True)
    layers = (*host.layers, Layer.plain(registry.push_blob(repository, tar_content([named]))))
    config = ImageConfig(
        architecture=host_platform().partition("/")[2],
        entrypoint=(PYTHON,),
        env=host.env,
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
    """One installation: its namespaces, and what is asked of its pod."""

    cluster: Whole
    home: str
    services: str
    smoke: str

    def pod(self) -> str:
        """Wait for the one pod that is ready; its address."""

        def ready() -> str | None:
            for pod in self.cluster.plane.api().items(f"/api/v1/namespaces/{self.home}/pods"):
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
                told.append(kubectl(f"--namespace={self.home}", *arguments)[-6000:])
            except Exception as error:  # noqa: BLE001 - whatever can be told
                told.append(str(error))
        return "\n".join(told)


@contextmanager
def installed(
    cluster: Whole, folder: Path, image: ImageRef, settings: Mapping[str, Any], index: str
) -> Iterator[OwnLaurel]:
    """Apply k8s/overlays/embedded, under an overlay of a test's own, and take it away again."""
    suffix = os.urandom(3).hex()
    names = {name: f"{name}-{suffix}" for name in ("laurel", "ml", "laurel-smoke")}
    own = OwnLaurel(cluster, names["laurel"], names["ml"], names["laurel-smoke"])
    serving = {**settings["serving"], "namespace": own.services, "smoke_namespace": own.smoke}
    settings = {**settings, "serving": serving}
    objects = moved(rendered(cluster.plane, _overlay(folder, image, settings, index)), names)
    spaces = [
        *objects,
        {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": own.services}},
    ]
    try:
        apply(cluster.plane, [each for each in spaces if each["kind"] == "Namespace"])
        _secrets(own, folder)
        apply(cluster.plane, [_volume(cluster, own), *objects])
        yield own
    finally:
        for name in names.values():
            cluster.plane.api().delete(f"/api/v1/namespaces/{name}")
        cluster.plane.api().delete(f"/api/v1/persistentvolumes/{own.home}")


def _overlay(folder: Path, image: ImageRef, settings: Mapping[str, Any], index: str) -> Path:
    """Write what k8s/examples/mine shows: image, settings, and this cluster's package index."""
    overlay = folder / "overlay"
    overlay.mkdir()
    (overlay / "k8s").symlink_to(K8S)
    (overlay / "laurel.yaml").write_text(yaml.safe_dump(dict(settings)))
    variable = {"name": "UV_DEFAULT_INDEX", "value": index}
    add = {"op": "add", "path": "/spec/template/spec/containers/1/env/-", "value": variable}
    said = {
        "resources": ["k8s/overlays/embedded"],
        "images": [
            {
                "name": "registry.example.com/ml/laurel",
                "newName": image.repository,
                "digest": image.digest.value,
            }
        ],
        "configMapGenerator": [
            {
                "name": "laurel",
                "namespace": "laurel",
                "behavior": "replace",
                "files": ["laurel.yaml"],
            }
        ],
        "patches": [{"target": {"kind": "Deployment"}, "patch": yaml.safe_dump([add])}],
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(said))
    return overlay


def _secrets(own: OwnLaurel, folder: Path) -> None:
    for name, files in {
        "laurel-webhook": ("webhook.secret",),
        "laurel-token": ("laurel.token",),
        "laurel-signing": ("laurel.key", "laurel.key.password", "laurel.pub"),
    }.items():
        given = [f"--from-file={folder / file}" for file in files]
        own.cluster.plane.kubectl(
            "create", "secret", "generic", name, f"--namespace={own.home}", *given
        )


def _volume(cluster: Whole, own: OwnLaurel) -> dict[str, Any]:
    """Make a disk of this machine what the claim gets; a cloud makes one by itself."""
    disk = cluster.place.folder / "disks" / own.home
    disk.mkdir(parents=True)
    os.chown(disk, _NOBODY, _NOBODY)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": own.home},
        "spec": {
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadWriteOnce"],
            "claimRef": {"namespace": own.home, "name": "laurel"},
            "local": {"path": str(disk)},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {
                                    "key": "kubernetes.io/hostname",
                                    "operator": "In",
                                    "values": [NODE],
                                }
                            ]
                        }
                    ]
                }
            },
        },
    }
