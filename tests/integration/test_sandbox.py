"""A hostile model in the sandbox: what it tries, and that none of it works (law 9)."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.adapters.local_runner import LocalRunner
from pipeline.domain.serving import Readiness
from pipeline.local import launch
from pipeline.local.processes import why_no_isolation
from pipeline.local.rootfs import RootfsCache
from tests.fakes.local_machine import eventually
from tests.fakes.served_image import ImageMaker, built

pytestmark = pytest.mark.xdist_group("local")

HOSTILE = """
import ctypes, struct
from pathlib import Path

# the listener, before and after disconnecting it: connect(2), AF_UNSPEC
def reuse_listener(port):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.connect(3, struct.pack("H14x", socket.AF_UNSPEC), 16)
    to = struct.pack("H", socket.AF_INET) + struct.pack("!H4s8x", port, bytes([127, 0, 0, 1]))
    if libc.connect(3, to, 16) != 0:
        raise OSError(ctypes.get_errno(), "connect")

def remount():
    libc = ctypes.CDLL(None, use_errno=True)
    new_user, new_mounts, remount, bind = 0x10000000, 0x20000, 32, 4096
    if os.fork() == 0:
        libc.unshare(new_user | new_mounts)
        libc.mount(b"none", b"/", None, remount | bind, None)
        try:
            Path("/opt/laurel/written").write_text("x")
        except OSError:
            os._exit(0)
        os._exit(1)
    if os.wait()[1] == 0:
        raise OSError("still read-only")

def key_rings(keyctl):
    libc = ctypes.CDLL(None, use_errno=True)
    get, session, make = 0, -3, 1
    if libc.syscall(keyctl, get, session, make) == -1:
        raise OSError(ctypes.get_errno(), "keyctl")

def attempts(said):
    secret, port, pid = said["secret"], said["port"], said["pid"]
    return {
        "read the secret": lambda: Path(secret).read_text(),
        "read it through /proc": lambda: Path(f"/proc/1/root{secret}").read_text(),
        "read it through the output": lambda: os.open("..", os.O_RDONLY, dir_fd=1),
        "climb out": lambda: Path("../" * 40, secret.lstrip("/")).read_text(),
        "read the log": lambda: Path("/proc/self/fd/1").read_text(),
        "see the host": lambda: Path(f"/proc/{pid}/status").read_text(),
        "signal the host": lambda: os.kill(pid, 0),
        "connect": lambda: socket.create_connection(("127.0.0.1", port), 2),
        "connect by name": lambda: socket.create_connection(("localhost", port), 2),
        "connect outside": lambda: socket.create_connection(("192.0.2.1", 80), 2),
        "connect to an abstract socket": lambda: socket.socket(socket.AF_UNIX).connect(
            chr(0) + said["abstract"]
        ),
        "connect with the listener": lambda: reuse_listener(port),
        "write to its code": lambda: Path("/opt/laurel/serve").write_text("x"),
        "write to the root": lambda: Path("/written").write_text("x"),
        "write to /etc": lambda: Path("/etc/passwd").write_text("x"),
        "write to /dev": lambda: Path("/dev/written").write_text("x"),
        "write to the kernel": lambda: Path("/proc/sys/kernel/hostname").write_text("x"),
        "become root": lambda: os.setuid(0),
        "change root": lambda: os.chroot("/tmp"),
        "make a device": lambda: os.mknod("/tmp/sda", 0o60600, os.makedev(8, 0)),
        "remount": remount,
        "use the user's key rings": lambda: key_rings(said["keyctl"]),
        "fill the disk with its output": lambda: os.ftruncate(1, 1 << 40),
    }

def tried(attempt):
    try:
        attempt()
    except OSError as error:
        return None
    return "it worked"

def invoke(body):
    said = json.loads(body)
    Path("/tmp/allowed").write_text("x")
    worked = [name for name, attempt in attempts(said).items()
              if name in said.get("only", [name]) and tried(attempt)]
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 200, json.dumps({
        "worked": worked,
        "processes": [int(name) for name in os.listdir("/proc") if name.isdigit()],
        "interfaces": [name for _, name in socket.if_nameindex()],
        "descriptors": sorted(os.readlink(f"/proc/self/fd/{n}") for n in range(4)),
        "more descriptors": [n for n in range(4, 256) if leaked(n)],
        "uid": os.getresuid(),
        "groups": os.getgroups(),
        "capabilities": status["CapEff"].strip() + status["CapBnd"].strip(),
        "no new privileges": status["NoNewPrivs"].strip(),
        "goes first": Path("/proc/self/oom_score_adj").read_text().strip(),
        "environment": sorted(os.environ),
        "mounts": sorted(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
    }).encode()

def leaked(number):
    try:
        return not os.readlink(f"/proc/self/fd/{number}").startswith("socket:")
    except OSError:
        return False
"""


@pytest.fixture(scope="module")
def images() -> Iterator[ImageMaker]:
    """Make images where every user may look, so that one who is not root may run them too."""
    folder = Path(tempfile.mkdtemp(prefix="laurel-test-"))
    folder.chmod(0o755)
    yield ImageMaker(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def cache(images: ImageMaker) -> RootfsCache:
    return RootfsCache(images.folder / "unpacked", images.registry)


@pytest.fixture(scope="module")
def seen(images: ImageMaker, cache: RootfsCache) -> dict[str, Any]:
    """Run the hostile model once; everything it found out."""
    secret = images.folder / "laurel.key"
    secret.touch(mode=0o600)
    secret.write_text("the signing key")
    image = built(images.serve(HOSTILE))
    with (
        socket.create_server(("127.0.0.1", 0)) as reachable,
        socket.socket(socket.AF_UNIX) as abstract,
        LocalRunner(cache).run(image, ()) as running,
    ):
        abstract.bind(f"\0laurel-test-{os.getpid()}")
        abstract.listen()
        eventually(lambda: running.readiness() is Readiness.READY)
        said = {
            "secret": str(secret),
            "port": reachable.getsockname()[1],
            "pid": os.getpid(),
            "abstract": f"laurel-test-{os.getpid()}",
            "keyctl": launch.CALLS[os.uname().machine][1][-1],
        }
        status, answer = running.invoke(json.dumps(said).encode())
        assert status == 200, running.output()
    found: dict[str, Any] = json.loads(answer)
    return found


def test_nothing_that_a_hostile_model_tries_works(seen: dict[str, Any]) -> None:
    assert seen["worked"] == []


def test_the_same_attempts_work_without_a_sandbox(images: ImageMaker, cache: RootfsCache) -> None:
    """Otherwise the test above would prove nothing."""
    secret = images.folder / "laurel.key"
    secret.write_text("the signing key")
    image = built(images.serve(HOSTILE))
    runner = LocalRunner(cache, isolated=False)
    with (
        socket.create_server(("127.0.0.1", 0)) as reachable,
        runner.run(image, ()) as running,
    ):
        eventually(lambda: running.readiness() is Readiness.READY)
        attempts = {"read the secret", "see the host", "signal the host", "connect"}
        said = {
            "secret": str(secret),
            "port": reachable.getsockname()[1],
            "pid": os.getpid(),
            "abstract": "",
            "keyctl": launch.CALLS[os.uname().machine][1][-1],
            "only": sorted(attempts),
        }
        _, answer = running.invoke(json.dumps(said).encode())
    assert attempts <= set(json.loads(answer)["worked"])


def test_it_sees_its_own_process_only(seen: dict[str, Any]) -> None:
    assert seen["processes"] == [1]


def test_it_has_no_network(seen: dict[str, Any]) -> None:
    assert seen["interfaces"] == ["lo"]  # and that one is down


def test_it_inherits_null_its_output_and_its_listener(seen: dict[str, Any]) -> None:
    names = [name.rpartition("/")[2].partition(":")[0] for name in seen["descriptors"]]
    assert sorted(names) == ["null", "output.log", "output.log", "socket"]
    assert seen["more descriptors"] == []


def test_it_is_nobody_without_capabilities(seen: dict[str, Any]) -> None:
    assert (seen["uid"], seen["groups"]) == ([65532, 65532, 65532], [])
    assert set(seen["capabilities"]) == {"0"}
    assert seen["no new privileges"] == "1"


def test_it_ends_before_laurel_does_where_memory_ends(seen: dict[str, Any]) -> None:
    assert seen["goes first"] == "500"


def test_it_gets_the_image_s_environment_only(seen: dict[str, Any]) -> None:
    assert seen["environment"] == ["HOME", "LAUREL_LISTEN_FD", "LD_LIBRARY_PATH", "PATH"]


def test_it_sees_no_mount_of_the_host(seen: dict[str, Any]) -> None:
    devices = [f"/dev/{name}" for name in ("full", "null", "random", "shm", "urandom", "zero")]
    assert seen["mounts"] == ["/", "/dev", *devices, "/proc", "/tmp"]  # noqa: S108 - the sandbox's


def test_this_machine_gives_isolation() -> None:
    assert why_no_isolation() is None


AS_NOBODY = """
import ctypes, os, runpy, sys
script = runpy.run_path(sys.argv[1])
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as after an exec: /proc/self is ours
script["main"]()
"""
LOOK = """
import json, os, socket
from pathlib import Path
mounts = Path("/proc/mounts").read_text()
try:
    Path("/written").write_text("x")
except OSError as error:
    refusal = error.strerror
Path("/tmp/allowed").write_text("x")
filtered = "Seccomp:\t2" in Path("/proc/self/status").read_text()
seen = [os.getpid(), os.getuid(), [n for _, n in socket.if_nameindex()], refusal, filtered]
print(json.dumps(seen))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else to try it")
def test_a_user_who_is_not_root_gets_the_same_sandbox(
    images: ImageMaker, cache: RootfsCache
) -> None:
    rootfs = cache.provide(images.image(LOOK).ref)
    (images.folder / "unpacked").chmod(0o755)  # as if it were that user's own
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        output = Path(folder, "output")
        specification = {
            "argv": rootfs.config.entrypoint,
            "env": rootfs.config.env,
            "cwd": "/",
            "output": str(output),
            "root": str(rootfs.path),
            "user": 65532,
            "limits": {},
            "listener": None,
            "record": str(Path(folder, "record")),
            "notes": {},
            "tied": False,
        }
        done = subprocess.run(
            [sys.executable, "-I", "-c", AS_NOBODY, launch.__file__],
            env={},
            input=json.dumps(specification).encode() + b"\n",
            capture_output=True,
            check=False,
        )
        assert (done.stdout, done.stderr) == (b"", b"")
        eventually(lambda: output.exists() and output.read_text().endswith("\n"))
        assert json.loads(output.read_text()) == [
            1,
            65532,
            ["lo"],
            "Read-only file system",
            True,
        ]
