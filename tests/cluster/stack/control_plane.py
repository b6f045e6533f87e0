"""etcd, the API server and the definitions of KServe's and Knative's objects."""

import ssl
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.stack.api import Api
from tests.cluster.stack.binaries import program
from tests.cluster.stack.keys import Keys, kubeconfig
from tests.cluster.stack.manifests import manifest
from tests.cluster.stack.parts import ClusterError, Parts
from tests.cluster.stack.place import API_SERVICE, SERVICES

_SAID = 1500


@dataclass(frozen=True)
class ControlPlane:
    """Where an API server listens, and who may say anything there."""

    folder: Path
    url: str

    @property
    def keys(self) -> Path:
        """Hold the certificates."""
        return self.folder / "keys"

    @property
    def kubeconfig(self) -> Path:
        """Name the kubeconfig of the administrator."""
        return self.folder / "kubeconfig"

    def api(self) -> Api:
        """Open the administrator's connection."""
        context = ssl.create_default_context(cafile=self.keys / "ca.crt")
        context.load_cert_chain(self.keys / "admin.crt", self.keys / "admin.key")
        return Api(self.url, context)

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """Call kubectl as the administrator; return what it said."""
        ended = subprocess.run(
            [program("kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments],
            check=False,
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
        )
        if ended.returncode:
            raise ClusterError(f"kubectl {' '.join(arguments)[:200]}: {ended.stderr[-_SAID:]}")
        return ended.stdout

    def apply(self, said: str) -> None:
        """Apply manifests on the server's side."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", given=said)


@dataclass(frozen=True)
class Ports:
    """What a control plane listens on."""

    api: int = 6443
    etcd: int = 2379
    peers: int = 2380


def start_control_plane(
    parts: Parts,
    address: str,
    ports: Ports | None = None,
    *,
    within: Sequence[str] = (),
    accounts: bool = True,
) -> ControlPlane:
    """Start an etcd and an API server at an address, and wait until they answer.

    ``within`` is put in front of commands; without controllers nobody makes namespaces'
    default service accounts, and pods can be created only where ``accounts`` are not asked for.
    """
    ports = ports or Ports()
    plane = ControlPlane(parts.folder, f"https://{address}:{ports.api}")
    _keys(plane, address)
    etcd, peers = (f"http://{address}:{port}" for port in (ports.etcd, ports.peers))
    parts.start("etcd", [*within, program("etcd"), *_etcd(parts.folder, etcd, peers)])
    command = [program("kube-apiserver"), *_api_server(plane, address, ports.api, etcd)]
    if not accounts:
        command.append("--disable-admission-plugins=ServiceAccount")
    parts.start("apiserver", [*within, *command])
    parts.wait("API server", lambda: _answers(plane), "etcd", "apiserver")
    return plane


def define_objects(plane: ControlPlane, parts: Parts) -> None:
    """Define what KServe and Knative are about, and wait until the API server knows it."""
    plane.apply(manifest("definitions"))
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    api = plane.api()

    def established() -> bool:
        return all(_established(each) for each in (api.get(path) or {})["items"])

    parts.wait("definitions of objects", established, "apiserver")


def _established(definition: dict[str, dict[str, list[dict[str, str]]]]) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def _answers(plane: ControlPlane) -> bool:
    status, _ = plane.api().call("GET", "/readyz")
    return status == 200


def _keys(plane: ControlPlane, address: str) -> None:
    keys = Keys(plane.keys)
    keys.vouch("admin", "admin", group="system:masters")
    names = ("kubernetes.default.svc", "localhost")
    keys.vouch("apiserver", "kube-apiserver", names=names, at={address, API_SERVICE, "127.0.0.1"})
    keys.vouch("kserve", "kserve-webhook", at=[address])
    keys.signer("accounts")
    user = {
        "client-certificate": str(plane.keys / "admin.crt"),
        "client-key": str(plane.keys / "admin.key"),
    }
    kubeconfig(plane.kubeconfig, plane.url, plane.keys / "ca.crt", user)


def _etcd(folder: Path, clients: str, peers: str) -> list[str]:
    return [
        f"--data-dir={folder / 'etcd'}",
        "--unsafe-no-fsync",  # its data live as long as its process
        "--log-level=warn",
        f"--listen-client-urls={clients}",
        f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
    ]


def _api_server(plane: ControlPlane, address: str, port: int, etcd: str) -> list[str]:
    keys = plane.keys
    return [
        f"--etcd-servers={etcd}",
        f"--secure-port={port}",
        f"--bind-address={address}",
        f"--advertise-address={address}",
        f"--tls-cert-file={keys / 'apiserver.crt'}",
        f"--tls-private-key-file={keys / 'apiserver.key'}",
        f"--client-ca-file={keys / 'ca.crt'}",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--allow-privileged=true",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={keys / 'accounts.pub'}",
        f"--service-account-signing-key-file={keys / 'accounts.key'}",
        "--endpoint-reconciler-type=none",
        "--profiling=false",
        "--kubelet-preferred-address-types=InternalIP",  # nobody answers for its name
        f"--kubelet-client-certificate={keys / 'admin.crt'}",
        f"--kubelet-client-key={keys / 'admin.key'}",
        f"--cert-dir={plane.folder / 'apiserver'}",
    ]
