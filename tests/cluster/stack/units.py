"""What is built: each unit from one published module, and kept under a name of its recipe."""

import hashlib
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.stack import versions

OURS = Path(__file__).parent / "go"
_FLAGS = ("-trimpath", "-s -w", "CGO_ENABLED=0")
_KUBERNETES = "k8s.io/kubernetes"


@dataclass(frozen=True)
class Unit:
    """Programs of one module: ``mains`` maps a program's name to its package in the module.

    ``staging`` names the version of the published copies of what Kubernetes requires as v0.0.0
    and replaces by folders that no module archive holds. ``folder`` is a module of ours.
    """

    name: str
    module: str
    version: str
    mains: Mapping[str, str]
    tags: str = ""
    staging: str = ""
    linker: tuple[str, ...] = field(default=())
    folder: Path | None = None

    @property
    def key(self) -> str:
        """Name the result: another version, source or flag has another name."""
        said = (self.module, self.version, *sorted(self.mains.items()), self.tags, self.staging)
        recipe = hashlib.sha256(repr((said, self.linker, _FLAGS, platform.machine())).encode())
        for file in sorted(self.folder.rglob("*.*")) if self.folder else ():
            recipe.update(file.name.encode() + b"\0" + file.read_bytes())
        return f"{self.name}-{self.version}-{recipe.hexdigest()[:12]}"


def _kubernetes(name: str, *programs: str) -> Unit:
    package = "k8s.io/component-base/version"
    major, minor, patch = versions.KUBERNETES.split(".")
    said = {
        "gitVersion": f"v{versions.KUBERNETES}",
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": f"v{versions.KUBERNETES}",
        "buildDate": "1970-01-01T00:00:00Z",
    }
    return Unit(
        name,
        _KUBERNETES,
        versions.KUBERNETES,
        {program: f"./cmd/{program}" for program in programs},
        staging=f"v0.{minor}.{patch}",
        linker=tuple(f"-X {package}.{key}={value}" for key, value in said.items()),
    )


CONTROL_PLANE = (
    Unit("etcd", "go.etcd.io/etcd/server/v3", versions.ETCD, {"etcd": "."}),
    _kubernetes("apiserver", "kube-apiserver"),
    _kubernetes("kubectl", "kubectl"),
)
"""What tier A runs."""

UNITS = (
    *CONTROL_PLANE,
    _kubernetes("node", "kube-controller-manager", "kube-scheduler", "kubelet"),
    Unit(
        "kserve",
        "github.com/kserve/kserve",
        versions.KSERVE,
        {"kserve-manager": "./cmd/manager"},
    ),
    Unit(
        "serving",
        "knative.dev/serving",
        versions.SERVING,
        {
            f"knative-{name}": f"./cmd/{name}"
            for name in ("controller", "webhook", "autoscaler", "activator", "queue")
        },
    ),
    Unit("kourier", "knative.dev/net-kourier", versions.KOURIER, {"kourier": "./cmd/kourier"}),
    Unit(
        "prometheus",
        "github.com/prometheus/prometheus",
        versions.PROMETHEUS,
        {"prometheus": "./cmd/prometheus"},
        tags="remove_all_sd,enable_kubernetes_sd",  # not the libraries of a dozen clouds
    ),
    Unit(
        "ours",
        "laurel/cluster",
        "1",
        {name: f"./{name}" for name in ("pause", "modelserver", "scaffold")},
        folder=OURS,
    ),
)
"""In the order in which they are built: the longest wait is not at the end."""
