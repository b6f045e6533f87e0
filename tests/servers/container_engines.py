"""Real container engines for tests: dockerd, containerd and runc, unpacked and not installed.

Each runs with mounts and process numbers of its own, so that its end, however it comes, leaves no
container, no mount and no file behind. They need root; :func:`why_no_engines` says what is missing.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers.debian_packages import Unpacked, missing_tools, unpacked

_PACKAGES = ("docker.io", "containerd", "runc")
_APART = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_PRIVATE_MOUNTS = Path(__file__).with_name("private_mounts.py")
_CGROUPS = Path("/sys/fs/cgroup")
_PATIENCE = 60.0


def why_no_engines() -> str | None:
    """Say why this machine can start no container engine, ``None`` where it can."""
    if os.geteuid() != 0:
        return "container engines need root"
    if why := missing_tools():
        return why
    tried = subprocess.run([*_APART, "true"], check=False, capture_output=True, text=True)
    return (
        f"container engines need namespaces: {tried.stderr.strip()}" if tried.returncode else None
    )


@dataclass(frozen=True)
class DockerEngine:
    """A running Docker Engine: where its clients find it."""

    host: str
    tools: Unpacked

    def __call__(self, *arguments: str) -> str:
        """Call its command line; return what it said, fail where it ended otherwise."""
        return _called(
            [str(self.tools.program("docker")), "--host", self.host, *arguments], self.tools
        )


@dataclass(frozen=True)
class Containerd:
    """A running containerd, and its command line ``ctr``."""

    address: str
    folder: Path
    tools: Unpacked
    cgroup: str

    def __call__(self, *arguments: str) -> str:
        """Call ``ctr``; return what it said, fail where it ended otherwise."""
        ctr = [str(self.tools.program("ctr")), "--address", self.address]
        return _called([*ctr, *arguments], self.tools)


@contextmanager
def docker_engine(folder: Path) -> Iterator[DockerEngine]:
    """Start a Docker Engine without bridge or firewall rules; ``--network`` is none or host."""
    tools = unpacked(*_PACKAGES)
    with _short_folder() as short, _cgroup() as cgroup:
        address = short / "docker.sock"
        command = [str(tools.program("dockerd")), f"--host=unix://{address}", "--bridge=none"]
        command += ["--iptables=false", "--ip6tables=false", "--ip-forward=false"]
        command += [f"--data-root={folder / 'data'}", f"--exec-root={short / 'exec'}"]
        command += [f"--pidfile={short / 'docker.pid'}", f"--cgroup-parent={cgroup}"]
        with _apart(command, tools, folder, address):
            engine = DockerEngine(f"unix://{address}", tools)
            engine("info")  # answered once everything is there
            yield engine


@contextmanager
def containerd(folder: Path) -> Iterator[Containerd]:
    """Start a containerd that only ``ctr`` talks to."""
    tools = unpacked(*_PACKAGES)
    with _short_folder() as short, _cgroup() as cgroup:
        address = short / "containerd.sock"
        (folder / "containerd.toml").write_text(
            "version = 2\n"
            f"root = {json.dumps(str(folder / 'data'))}\n"
            f"state = {json.dumps(str(short / 'state'))}\n"
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f"[grpc]\n  address = {json.dumps(str(address))}\n"
        )
        command = [str(tools.program("containerd")), "--config", str(folder / "containerd.toml")]
        with _apart(command, tools, folder, address):
            yield Containerd(str(address), short, tools, cgroup)


@dataclass(frozen=True)
class RuncContainer:
    """A container of plain runc: executes further commands beside its first."""

    name: str
    state: Path
    log: Path
    tools: Unpacked

    def __call__(self, *command: str) -> str:
        """Execute a command inside; return what it said, fail where it ended otherwise."""
        runc = [str(self.tools.program("runc")), "--root", str(self.state)]
        return _called([*runc, "exec", self.name, *command], self.tools)


@contextmanager
def runc_container(folder: Path, spec: Mapping[str, Any]) -> Iterator[RuncContainer]:
    """Run a container as ``config.json`` says, beside runc's own defaults, until the context ends.

    The defaults give it namespaces of its own: of the network it has nothing but a loopback.
    """
    tools = unpacked(*_PACKAGES)
    runc = str(tools.program("runc"))
    _called([runc, "spec", "--bundle", str(folder)], tools)
    with _cgroup() as cgroup:
        whole = json.loads((folder / "config.json").read_bytes())
        for section, said in spec.items():
            whole[section] = (
                whole[section] + said if section == "mounts" else {**whole[section], **said}
            )
        whole["linux"]["cgroupsPath"] = cgroup
        (folder / "config.json").write_text(json.dumps(whole))
        name, state, log = cgroup.lstrip("/"), folder / "state", folder / "container.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [runc, "--root", str(state), "run", "--bundle", str(folder), name],
                env=tools.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            _wait(process, log, (state / name / "state.json").exists)
            yield RuncContainer(name, state, log, tools)
        finally:
            _called([runc, "--root", str(state), "delete", "--force", name], tools)
            process.wait()


@contextmanager
def _apart(command: list[str], tools: Unpacked, folder: Path, address: Path) -> Iterator[None]:
    """Run an engine in namespaces that end with it, until ``address`` is answered and then on."""
    scratch, log = address.parent / "scratch", folder / "engine.log"
    scratch.mkdir()
    init = [str(tools.program("docker-init")), "--"]  # reaps what containers leave behind
    inside = [sys.executable, "-I", str(_PRIVATE_MOUNTS), str(scratch), *init, *command]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_APART, *inside],
            env={**tools.environment, "DOCKER_TMPDIR": str(address.parent)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait(process, log, lambda: _listens(address))
        yield
    finally:
        _end(process)
        shutil.rmtree(folder / "data", ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the engine; the kernel ends all of its namespace before ``unshare`` sees it gone."""
    if process.poll() is not None:
        return
    engine = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for pid in engine or [str(process.pid)]:
        os.kill(int(pid), signal.SIGKILL)
    process.wait()


def _wait(process: subprocess.Popen[bytes], log: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not ready():
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.02)
            pytest.fail(f"the engine ended: {log.read_text(errors='replace')[-2000:]}")
        assert time.monotonic() < deadline, log.read_text(errors="replace")[-2000:]


def _listens(address: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(address)) == 0


@contextmanager
def _short_folder() -> Iterator[Path]:
    """Lend a folder whose path leaves room for the names of sockets (unix(7): 108 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="laurel-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _cgroup() -> Iterator[str]:
    """Name a control group for containers; what a killed engine left of it is removed."""
    name = f"laurel-tests-{os.getpid()}-{time.monotonic_ns()}"
    try:
        yield f"/{name}"
    finally:
        for top in [*_CGROUPS.glob(name), *_CGROUPS.glob(f"*/{name}")]:
            for folder, _, _ in os.walk(top, topdown=False):
                Path(folder).rmdir()


def _called(command: list[str], tools: Unpacked) -> str:
    ended = subprocess.run(
        command,
        check=False,
        env={**tools.environment, "DOCKER_CONFIG": os.devnull},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, f"{' '.join(command)}: {ended.stderr[-2000:]}"
    return ended.stdout
