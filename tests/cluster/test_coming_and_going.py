"""A cluster comes and goes, however it goes, and this machine is as it was."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.conftest import Model
from tests.cluster.services import Services
from tests.cluster.stack import cgroups, network
from tests.cluster.stack.apart import run
from tests.cluster.stack.parts import ClusterError, Parts
from tests.cluster.stack.place import Place, kept_folder
from tests.cluster.stack.whole import Whole
from tests.cluster.traffic import burst

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
BESIDE = Place(1)
SETTINGS = (
    *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"),
    *("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/ip_forward"),
)
PLACES = (
    *("/etc/netns", "/etc/cni", "/opt/cni", "/var/lib/kubelet", "/var/lib/cni", "/var/log/pods"),
    *("/var/log/containers", "/run/containerd", "/usr/libexec/kubernetes", "/run/flannel"),
)


def of_this_machine() -> dict[str, object]:
    """See what a cluster could change of the machine that is not in its own folder."""
    return {
        "settings": {name: Path("/proc/sys", name).read_text() for name in SETTINGS},
        "places": {place: Path(place).exists() for place in PLACES},
        "cache": sorted(path.name for path in kept_folder().iterdir()),
        "shared memory": list(Path("/dev").glob("shm/envoy*")),
        "addresses": network.linked(BESIDE),
        "control groups": cgroups.left(BESIDE.cgroup),
        "mounts": re.findall(rf"\S*{BESIDE.folder.name}\S*", Path("/proc/mounts").read_text()),
        "processes": processes(),
        "chains": chains(),
    }


def processes() -> list[str]:
    """Find processes that know of the second cluster, in their command or environment."""
    known = BESIDE.folder.name.encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            said = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:  # it ends as we look, or is not ours to look at
            continue
        if known in said:
            found.append(said.decode(errors="replace"))
    return found


def chains() -> list[str]:
    """List the chains of the firewall, as far as the kernel has any."""
    tables = Path("/proc/net/ip_tables_names")
    return tables.read_text().split() if tables.exists() else []


@pytest.mark.xdist_group("second_cluster")
def test_a_cluster_whose_parts_were_killed_goes_and_leaves_nothing(cluster: Whole) -> None:
    assert cluster.place != BESIDE
    before = of_this_machine()
    second = Whole(BESIDE)
    try:
        second.up()
        settings = of_this_machine()["settings"]
        plane = second.plane
        plane.kubectl("run", "idle", f"--image={BESIDE.registry}/pause:1")
        plane.kubectl("wait", "pod/idle", "--for=condition=Ready", "--timeout=60s")
        for name in ("containerd", "kubelet", "apart", "apiserver"):
            second.parts.kill(name)
        assert cgroups.processes(BESIDE.cgroup)
    finally:
        second.down()
    assert settings == before["settings"]
    assert of_this_machine() == before


def test_a_cluster_that_is_up_is_not_brought_up_again(cluster: Whole) -> None:
    known = cluster.parts.pid("apiserver")
    with pytest.raises(ClusterError, match="is up already"):
        Whole(cluster.place).up()
    assert cluster.parts.pid("apiserver") == known


def test_a_part_that_is_killed_is_named_until_it_is_started_again(
    cluster: Whole, parts: Parts, alone: None
) -> None:
    assert alone is None
    status = [sys.executable, "-m", "tests.cluster", "status"]
    parts.kill("scheduler")
    try:
        assert cluster.ended() == ["scheduler"]
        said = subprocess.run(status, check=False, capture_output=True, text=True, cwd=ROOT)
        assert said.returncode == 1
        assert re.search(r"^scheduler +ended: ", said.stdout, re.MULTILINE)
    finally:
        parts.start_again("scheduler")
    assert cluster.ended() == []
    assert subprocess.run(status, check=False, capture_output=True, cwd=ROOT).returncode == 0


def test_a_process_with_the_number_of_one_that_ended_is_not_taken_for_it(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    parts.start("sleep", ["/bin/sleep", "600"])
    record = tmp_path / "parts/sleep"
    pid = parts.pid("sleep")
    record.write_text(re.sub(r'"started": "\d+"', '"started": "1"', record.read_text()))
    assert not parts.alive("sleep")
    parts.kill("sleep")  # would have been somebody else's
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ClusterError, match="sleep does not run"):
        parts.pid("sleep")


def test_a_program_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="No such file or directory: /nowhere"):
        Parts(tmp_path).start("ghost", ["/nowhere"])


def test_a_service_that_may_go_to_zero_goes_there_and_wakes_up_for_a_request(
    services: Services, model: Model
) -> None:
    quick = {"autoscaling.knative.dev/window": "6s"}
    revision = services.start("idle", model("v1"), minReplicas=0, annotations=quick)
    services.wait("idle", lambda _: not services.pods(revision), patience=120)
    seen = burst(services.target("idle"), 1)
    assert seen.versions() == {"v1": 1}


def test_a_namespace_of_a_cluster_is_none_of_this_machine(cluster: Whole) -> None:
    assert "activator" not in run("ip", "netns", "list").split()
    inside = f"/proc/{cluster.parts.pid('apart')}/root/run/netns/activator"
    assert Path(inside).exists()


def test_a_machine_that_lends_no_namespaces_says_so(cluster: Whole) -> None:
    assert cluster.stands()
    lesser = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"]
    command = [*lesser, sys.executable, "-m", "tests.cluster", "why-not"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert said.stdout.startswith("a cluster needs namespaces: unshare")
