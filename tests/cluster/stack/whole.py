"""A whole cluster, up and down.

Tier A is etcd, the API server and the definitions of objects: it needs no root. Tier B adds the
controllers, without a node: nothing ever runs. Tier C has pods, traffic and statistics.
"""

import os
import platform
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.stack import apart, cgroups, network
from tests.cluster.stack.apart import Apart
from tests.cluster.stack.binaries import program
from tests.cluster.stack.control_plane import (
    ControlPlane,
    Ports,
    define_objects,
    start_control_plane,
)
from tests.cluster.stack.knative import (
    configure,
    join_gateway,
    join_kserve,
    start_gateway,
    start_kserve,
    start_prometheus,
    start_serving,
)
from tests.cluster.stack.node import NODE, start_node, start_registry
from tests.cluster.stack.parts import ClusterError, Parts
from tests.cluster.stack.place import Place, kept_folder
from tests.cluster.stack.versions import PACKAGES
from tests.servers.debian_packages import Unpacked, missing_tools, unpacked
from tests.servers.go_tools import alone
from tests.servers.ports import free_ports

_FIRST = "apart"
_TOOLS = ("unshare", "nsenter", "mount")


def why_not() -> str | None:
    """Say why this machine can run no tier with pods, ``None`` where it can."""
    if platform.system() != "Linux":
        return "a cluster needs Linux"
    if os.geteuid() != 0:
        return "a cluster with pods needs root"
    lacking = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if lacking:
        return f"a cluster needs {' and '.join(lacking)} (Debian: util-linux)"
    why = missing_tools() or apart.why_not() or cgroups.why_not() or apart.hidden(kept_folder())
    return f"a cluster {why}" if why else None


@dataclass(frozen=True)
class Whole:
    """A cluster of this machine, whether or not it is up."""

    place: Place

    @property
    def plane(self) -> ControlPlane:
        """Say where its API server is."""
        return ControlPlane(self.place.folder, self.place.api)

    @property
    def parts(self) -> Parts:
        """Name its processes."""
        return Parts(self.place.folder)

    def stands(self) -> bool:
        """Tell whether it was brought up with pods, and not down since."""
        return self._tier() == "C" and any(map(self.parts.alive, self.parts.names()))

    def up(self, tier: str = "C") -> None:
        """Bring it up from nothing, or refuse and leave what is there as it is."""
        kept_folder().mkdir(parents=True, exist_ok=True)
        with alone(self._lock):
            if found := self._found():
                raise ClusterError(
                    f"cluster {self.place.number} is up already, or something of it is left "
                    f"({found}): python -m tests.cluster down"
                )
            try:
                self._up(tier)
            except BaseException:
                _say("it did not come up; taking down what did, but for the logs")
                self._down(keep_logs=True)
                raise
            self._complete.write_text(tier)

    def down(self) -> None:
        """Take down whatever there is of it, in whichever state; leave nothing."""
        if not kept_folder().exists():
            return
        with alone(self._lock):
            self._down()
        self._lock.unlink(missing_ok=True)

    def ended(self) -> list[str]:
        """Name the parts that should run and do not."""
        return self.parts.ended()

    @property
    def _complete(self) -> Path:
        return self.place.folder / "complete"

    @property
    def _lock(self) -> Path:
        return kept_folder() / f"{self.place.folder.name}.lock"

    def _tier(self) -> str:
        return self._complete.read_text() if self._complete.exists() else ""

    def _found(self) -> str:
        found = [name for name in self.parts.names() if self.parts.alive(name)]
        found += [str(path) for path in cgroups.left(self.place.cgroup)]
        return ", ".join(found)

    def _up(self, tier: str) -> None:
        shutil.rmtree(self.place.folder, ignore_errors=True)  # logs of one that did not come up
        self.place.folder.mkdir(parents=True)
        if tier == "A":
            start_apart_plane(self.parts)
            return
        with_node = tier == "C"
        packages = unpacked(*PACKAGES)
        environment = _with_unpacked(packages)
        parts = Parts(self.place.folder, cgroups.make(self.place.cgroup), environment)
        inside = self._apart(parts)
        plane = start_control_plane(
            parts, self.place.host, within=inside.inside, accounts=with_node
        )
        with ThreadPoolExecutor() as pool:  # what does not need one another, at once
            defined = pool.submit(define_objects, plane, parts)
            start_registry(self.place, inside, parts)
            if with_node:
                start_node(self.place, inside, parts, plane, packages)
            defined.result()
        configure(self.place, plane)
        start_kserve(self.place, inside, parts, plane)
        start_serving(self.place, inside, parts, plane)
        start_gateway(self.place, inside, parts)
        start_prometheus(self.place, inside, parts, plane)
        join_kserve(self.place, parts, plane)
        join_gateway(self.place, parts, plane)
        if with_node:
            parts.wait("node", lambda: _ready(plane), "kubelet", "containerd")

    def _apart(self, parts: Parts) -> Apart:
        scratch = self.place.folder / "scratch"
        scratch.mkdir()
        parts.start(_FIRST, apart.opening(scratch, program("pause")))
        mark = self.place.folder / "apart"
        parts.wait("namespaces of its own", mark.exists, _FIRST)
        inside = Apart(parts.pid(_FIRST), parts.environment)
        network.lay(self.place, inside)
        return inside

    def _down(self, *, keep_logs: bool = False) -> None:
        self.parts.stop(*reversed(self.parts.names()), patience=0)
        cgroups.end(self.place.cgroup)
        self.parts.wait("end of its network", lambda: not network.linked(self.place))
        if keep_logs:
            for each in self.place.folder.glob("*"):
                if each.name != "logs":
                    shutil.rmtree(each) if each.is_dir() else each.unlink()
        elif self.place.folder.exists():
            shutil.rmtree(self.place.folder)


def start_apart_plane(parts: Parts) -> ControlPlane:
    """Start tier A on loopback, at ports that nobody listens on."""
    api, etcd, peers = free_ports(3)
    ports = Ports(api, etcd, peers)
    plane = start_control_plane(parts, "127.0.0.1", ports, accounts=False)
    define_objects(plane, parts)
    return plane


def _with_unpacked(packages: Unpacked) -> dict[str, str]:
    """Let the unpacked ``ip`` be found where this machine has none."""
    if shutil.which("ip"):
        return {}
    return {name: packages.environment[name] for name in ("PATH", "LD_LIBRARY_PATH")}


def _ready(plane: ControlPlane) -> bool:
    node = plane.api().get(f"/api/v1/nodes/{NODE}") or {}
    conditions = node.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
