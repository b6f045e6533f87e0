"""Orphan, confine and exec one process: a script of its own, run as ``python -I -S launch.py``.

A fresh small interpreter forks here, because forking a worker with threads is not safe. It reads
one line of JSON on standard input, writes what went wrong on standard output, and knows nothing
of Laurel. Two lives are possible:

* a daemon is orphaned before it execs, since an Envoy from PyPI asks the kernel to end it with
  its parent; its record is on disk before its first instruction, so that no crash loses it;
* a tied process is ended by this script as soon as standard input reaches its end, that is, when
  whoever started it is gone, however it went.

A process with a ``root`` gets its own user (where we are not root), mount, pid, network, IPC and
UTS namespaces; nothing but the image is visible in it, and nothing but ``/tmp`` and ``/dev/shm``
can be written (runtime-spec, "Default Filesystems"). The kernel's key rings belong to users,
whatever namespace they are in, so a system call filter takes them away.
"""

# ruff: noqa: PTH102, PTH105, PTH123, PTH211 - pathlib takes 10 ms to import; every server waits
import ctypes
import errno
import fcntl
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 22, 24, 38
SECCOMP_MODE_FILTER, SECCOMP_RET_ERRNO, SECCOMP_RET_ALLOW = 2, 0x50000, 0x7FFF0000
BPF_LOAD, BPF_EQUAL, BPF_AT_LEAST, BPF_RETURN = 0x20, 0x15, 0x35, 0x06
X32 = 0x40000000  # a second set of numbers for the same calls
CALLS = {  # audit architecture; add_key, request_key and keyctl, which follow one another
    "x86_64": (0xC000003E, range(248, 251)),
    "aarch64": (0xC00000B7, range(217, 220)),
}
LISTEN_FD = 3
TMP, SHM = "/tmp", "/dev/shm"  # noqa: S108 - in the sandbox, where nobody else writes

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: bytes | int | None) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}{arguments}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    _call("mount", source.encode(), target.encode(), kind.encode(), flags, options.encode())


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def unshare(user: int) -> None:
    """Leave every namespace of the host; the next fork is pid 1 of a new one."""
    flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        _call("unshare", flags)
        return
    _call("unshare", flags | CLONE_NEWUSER)
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{user} {uid} 1")
    _write("/proc/self/gid_map", f"{user} {gid} 1")


def enter(root: str) -> None:
    """Make ``root``, read-only, all that can be seen, with the least a Linux program expects."""
    _mount("none", "/", "", MS_REC | MS_PRIVATE)
    _mount(root, root, "", MS_BIND)
    _mount("none", root, "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    _mount("tmpfs", root + TMP, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=1g")
    _mount("tmpfs", f"{root}/dev", "tmpfs", MS_NOSUID, "mode=755,size=64k")
    for device in ("null", "zero", "full", "random", "urandom"):
        _write(f"{root}/dev/{device}", "")
        _mount(f"/dev/{device}", f"{root}/dev/{device}", "", MS_BIND)
    os.mkdir(root + SHM)
    _mount("tmpfs", root + SHM, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777,size=256m")
    os.symlink("/proc/self/fd", f"{root}/dev/fd")
    _mount("none", f"{root}/dev", "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID)
    _mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    os.chdir(root)
    _call("pivot_root", b".", b".")
    _call("umount2", b".", MNT_DETACH)


def renounce(user: int) -> None:
    """Become ``user`` without groups or capabilities, and able to gain none."""
    if os.geteuid() == 0:
        os.setgroups([])
    with open("/proc/sys/kernel/cap_last_cap", encoding="utf-8") as file:
        last = int(file.read())
    for capability in range(last + 1):
        _call("prctl", PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def forbid_key_rings() -> None:
    """Refuse the calls that reach keys of the user who runs Laurel (keyrings(7)), as runtimes do.

    Calls of another architecture, 32 bits say, have other numbers, so they are refused altogether.
    """
    machine = os.uname().machine
    if machine not in CALLS:
        raise OSError(errno.ENOSYS, f"no system call filter is known for {machine}")
    architecture, calls = CALLS[machine]
    program = [
        (BPF_LOAD, 0, 0, 4),  # seccomp_data.arch
        (BPF_EQUAL, 1, 0, architecture),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.EPERM),
        (BPF_LOAD, 0, 0, 0),  # seccomp_data.nr
        (BPF_AT_LEAST, 2, 0, X32),
        (BPF_AT_LEAST, 0, 2, calls.start),
        (BPF_AT_LEAST, 1, 0, calls.stop),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ERRNO | errno.EPERM),
        (BPF_RETURN, 0, 0, SECCOMP_RET_ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in program))
    whole = struct.pack("HP", len(program), ctypes.addressof(code))
    _call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, whole, 0, 0)


def descriptors(output: str, listener: int | None) -> None:
    """Leave no descriptor open on exec but null, the output file and the listener."""
    null = os.open("/dev/null", os.O_RDONLY)
    log = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((listener, LISTEN_FD), (null, 0), (log, 1), (log, 2)):
        if source == target:
            fcntl.fcntl(target, fcntl.F_SETFD, 0)
        elif source is not None:
            fcntl.fcntl(source, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
            os.dup2(source, target)


def limit(limits: dict[str, int]) -> None:
    """Lower resource limits; none is ever raised."""
    for name, value in limits.items():
        which = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(which)[1]
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (lower, lower))


def become(spec: dict[str, Any], parent: int, go: int) -> None:
    """Wait for the parent's word, then turn into the program that the specification names."""
    if os.read(go, 1) != b"g":
        return  # the parent died before the record was written: nobody would ever find us
    while not spec["tied"] and os.read(go, 1):
        pass
    while not spec["tied"] and os.getppid() == parent:
        time.sleep(0.001)
    report = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 16)
    try:
        os.setsid()
        os.umask(0o022)
        descriptors(spec["output"], spec["listener"])
        limit(spec["limits"])
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores both, and exec keeps that
            signal.signal(number, signal.SIG_DFL)
        if spec["root"]:
            _write("/proc/self/oom_score_adj", "500")  # where memory ends, a model goes first
            enter(spec["root"])
            renounce(spec["user"])
        _call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        if spec["root"]:
            forbid_key_rings()
        os.chdir(spec["cwd"])
        if spec["argv"]:  # none: a trial, whether a sandbox can be had
            os.execve(spec["argv"][0], spec["argv"], spec["env"])  # noqa: S606 - no shell, on purpose
    except OSError as error:
        os.write(report, f"{error}\n".encode())


def record(spec: dict[str, Any], child: int) -> None:
    """Write down which process this is: pid and start time name it until the next boot."""
    with open(f"/proc/{child}/stat", encoding="utf-8") as file:
        start = int(file.read().rpartition(")")[2].split()[19])
    with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
        boot = file.read().strip()
    content = {"pid": child, "start": start, "boot": boot, "at": time.time(), **spec["notes"]}
    with open(spec["record"] + ".tmp", "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.replace(spec["record"] + ".tmp", spec["record"])


def guard(child: int) -> None:
    """Wait for the end of the child or of standard input; leave nothing of the child's session."""
    os.close(1)
    select.select([0, os.pidfd_open(child)], [], [])
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)


def launch(spec: dict[str, Any]) -> None:
    """Start the process that the specification describes; a tied one is watched to its end."""
    os.setsid()
    if spec["root"]:
        unshare(spec["user"])
    word, go = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.close(go)
            become(spec, parent, word)
        finally:
            os._exit(127)
    if spec["listener"] is not None:
        os.close(spec["listener"])
    if spec["record"]:
        record(spec, child)
    os.write(go, b"g")
    if spec["tied"]:
        guard(child)


def main() -> None:
    """Read one line of JSON on standard input and do what it says."""
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(0, 65536) or sys.exit("no specification on standard input")
    try:
        launch(json.loads(line))
    except OSError as error:
        os.write(1, f"{error}\n".encode())


if __name__ == "__main__":
    main()
