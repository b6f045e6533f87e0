"""One node: registry, containerd and kubelet, and the two programs that give it work."""

import json
from collections.abc import Mapping
from pathlib import Path

import urllib3
import yaml

from tests.cluster.stack.apart import Apart
from tests.cluster.stack.binaries import program
from tests.cluster.stack.control_plane import ControlPlane
from tests.cluster.stack.images import Images
from tests.cluster.stack.network import BRIDGE
from tests.cluster.stack.parts import Parts
from tests.cluster.stack.place import API_SERVICE, Place
from tests.servers.debian_packages import Unpacked
from tests.servers.go_tools import DISTRIBUTION, built

NODE = "n1"
PAUSE = "pause:1"
QUEUE = "queue-proxy:1"


def start_registry(place: Place, apart: Apart, parts: Parts) -> None:
    """Start the registry from which pods' images come, with the two that every pod needs."""
    settings = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(place.folder / "registry")},
            "delete": {"enabled": True},
        },
        "http": {"addr": place.registry, "secret": "signs the state of uploads"},
    }
    file = _write(place, "registry.yml", yaml.safe_dump(settings))
    quiet = {"OTEL_TRACES_EXPORTER": "none"}
    parts.start("registry", [*apart.inside, str(built(DISTRIBUTION)), "serve", file], quiet)
    parts.wait("registry", lambda: answers(f"http://{place.registry}/v2/"), "registry")
    images = Images(place.registry)
    images.push(PAUSE, program("pause"), "/pause")
    images.push(QUEUE, program("knative-queue"), "/ko-app")


def start_node(
    place: Place, apart: Apart, parts: Parts, plane: ControlPlane, packages: Unpacked
) -> None:
    """Start the node's programs, the scheduler and the controllers of Kubernetes' own objects."""
    _containerd(place, apart, parts, packages)
    client = f"--kubeconfig={plane.kubeconfig}"
    accounts = f"--service-account-private-key-file={plane.keys / 'accounts.key'}"
    manager = [
        accounts,
        f"--root-ca-file={plane.keys / 'ca.crt'}",
        "--profiling=false",
    ]
    for name, binary, more in (
        ("controllers", "kube-controller-manager", manager),
        ("scheduler", "kube-scheduler", []),
    ):
        own = [f"--cert-dir={place.folder / name}", "--leader-elect=false", client, *more]
        parts.start(name, [*apart.inside, program(binary), *own])
    forward = [program("scaffold"), "forward", f"{API_SERVICE}:443", f"{place.host}:6443"]
    parts.start("kubernetes", [*apart.inside, *forward])
    settings = _write(place, "kubelet.yaml", yaml.safe_dump(_kubelet(place, plane)))
    parts.start(
        "kubelet",
        [
            *(*apart.inside, program("kubelet"), client, f"--config={settings}"),
            *(f"--root-dir={place.folder / 'kubelet'}", f"--node-ip={place.host}"),
            *(f"--hostname-override={NODE}", f"--cert-dir={place.folder / 'kubelet/pki'}"),
        ],
    )


def _containerd(place: Place, apart: Apart, parts: Parts, packages: Unpacked) -> None:
    _write(place, "cni/10-pods.conflist", json.dumps(_pod_network(place)))
    plain = f"http://{place.registry}"
    hosts = f'server = "{plain}"\n[host."{plain}"]\ncapabilities = ["pull", "resolve"]\n'
    _write(place, f"certs/{place.registry}/hosts.toml", hosts)
    settings = _write(place, "containerd.toml", _containerd_settings(place, packages))
    command = [str(packages.program("containerd")), "--config", settings]
    parts.start("containerd", [*apart.inside, *command], _libraries(packages))
    sock = f"/proc/{apart.pid}/root/run/containerd/containerd.sock"
    parts.wait("containerd", lambda: Path(sock).exists(), "containerd")


def _libraries(packages: Unpacked) -> Mapping[str, str]:
    wanted = ("PATH", "LD_LIBRARY_PATH")
    return {name: packages.environment[name] for name in wanted}


def _pod_network(place: Place) -> dict[str, object]:
    addresses = {
        "type": "host-local",
        "dataDir": str(place.folder / "addresses"),
        "ranges": [
            [
                {
                    "subnet": place.address("0.0/16"),
                    "rangeStart": place.address("1.2"),
                    "rangeEnd": place.address("9.250"),
                    "gateway": place.host,
                }
            ]
        ],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": BRIDGE, "isGateway": False, "ipMasq": False}
    plugins = [{**bridge, "hairpinMode": False, "ipam": addresses}]
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}


def _containerd_settings(place: Place, packages: Unpacked) -> str:
    """Configure containerd, version 1 or 2: what the other does not know is passed over.

    Nobody here may lower the score by which the kernel chooses whom to kill: root in a container
    often lacks CAP_SYS_RESOURCE.
    """
    plugins = packages.folder / "usr/lib/cni"
    plugins = plugins if plugins.exists() else Path("/usr/lib/cni")
    runc = '"io.containerd.runc.v2"'
    lines = [
        "version = 2",
        f"root = {json.dumps(str(place.folder / 'containerd'))}",
        '[plugins."io.containerd.grpc.v1.cri"]',
        f'sandbox_image = "{place.registry}/{PAUSE}"',
        "restrict_oom_score_adj = true",
        "netns_mounts_under_state_dir = true",
        '[plugins."io.containerd.grpc.v1.cri".cni]',
        f"bin_dir = {json.dumps(str(plugins))}",
        f"conf_dir = {json.dumps(str(place.folder / 'cni'))}",
        '[plugins."io.containerd.grpc.v1.cri".registry]',
        f"config_path = {json.dumps(str(place.folder / 'certs'))}",
        '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]',
        f"runtime_type = {runc}",
        '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]',
        "SystemdCgroup = false",
    ]
    return "\n".join(lines) + "\n"


def _kubelet(place: Place, plane: ControlPlane) -> dict[str, object]:
    names = _write(place, "resolv.conf", f"nameserver {place.host}\n")  # where nobody listens
    nothing = dict.fromkeys(("nodefs", "imagefs"), "0%")
    room = {f"{kind}.{what}": share for kind, share in nothing.items() for what in _ROOM}
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{place.cgroup}",
        "cgroupsPerQOS": True,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "makeIPTablesUtilChains": False,
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "address": place.host,
        "healthzBindAddress": place.host,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(plane.keys / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"memory.available": "100Mi", **room},
        "hairpinMode": "none",
        "resolvConf": names,
        "nodeStatusUpdateFrequency": "10s",
        "syncFrequency": "10s",
        "registryPullQPS": 0,
        "eventRecordQPS": 0,
    }


_ROOM = ("available", "inodesFree")


def _write(place: Place, name: str, text: str) -> str:
    path = place.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def answers(url: str, **headers: str) -> bool:
    """Tell whether a URL is answered well, now."""
    try:
        answer = urllib3.request("GET", url, headers=headers, timeout=2, retries=False)
    except urllib3.exceptions.HTTPError:
        return False
    return answer.status == 200
