"""Namespaces of a cluster's own: what its programs change of the machine is not this machine's.

As a script, run in new namespaces, it makes these places private and becomes the program named
after them: folders get a layer in memory above them, and settings of the kernel that the kubelet
would change are covered by files that already say what it wants.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_KEPT = ("etc", "opt", "run", "usr/libexec", "var/lib", "var/log")
_KERNEL = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
"""What kubelet wants (pkg/kubelet/cm, setupKernelTunables), and otherwise writes for everybody."""
_NEW = ("unshare", "--mount", "--net", "--propagation", "slave")


@dataclass(frozen=True)
class Apart:
    """A door into the namespaces of a running process."""

    pid: int
    environment: Mapping[str, str]

    @property
    def inside(self) -> list[str]:
        """Say what to put in front of a command."""
        return ["/usr/bin/nsenter", f"--target={self.pid}", "--mount", "--net", "--"]

    def room(self, name: str) -> list[str]:
        """Say what to put in front of a command that has a network namespace of its own."""
        return [*self.inside, "ip", "netns", "exec", name]

    def __call__(self, *command: str, given: str = "") -> str:
        """Run a command inside and wait for its end."""
        return run(*self.inside, *command, given=given, environment=self.environment)


def why_not() -> str | None:
    """Say why this machine lets us make no namespaces, ``None`` where it does."""
    try:
        run(*_NEW, "mount", "--make-rshared", "/")
    except (OSError, ApartError) as error:
        return f"needs namespaces: {error}"
    return None


def hidden(folder: Path) -> str | None:
    """Say why a folder cannot be used from inside, ``None`` where it can."""
    for name in _KEPT:
        if folder.resolve().is_relative_to(Path("/", name)):
            return f"needs a cache that is not below /{name}: set XDG_CACHE_HOME"
    return None


class ApartError(Exception):
    """A command of the system failed; the message is what it said."""


def run(*command: str, given: str = "", environment: Mapping[str, str] | None = None) -> str:
    """Run a command of the system."""
    ended = subprocess.run(
        command,
        check=False,
        input=given,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    if ended.returncode:
        raise ApartError(f"{' '.join(command)[-200:]}: {ended.stderr.strip()[-500:]}")
    return ended.stdout


def opening(scratch: Path, program: str) -> Sequence[str]:
    """Say how the first process gets its namespaces: it keeps them open while it runs."""
    return [
        f"/usr/bin/{_NEW[0]}",
        *_NEW[1:],
        *(sys.executable, "-I", __file__, str(scratch), program),
    ]


def main() -> None:
    """Make everything private, say so with a file, then become the program."""
    scratch, program = map(Path, sys.argv[1:])
    _mount("tmpfs", scratch, "mode=755")
    run("mount", "--make-rshared", "/")  # among containers and us; nothing of it gets out
    for name in filter(lambda name: Path("/", name).is_dir(), _KEPT):
        upper, work = scratch / name / "upper", scratch / name / "work"
        upper.mkdir(parents=True)
        work.mkdir()
        target = Path("/", name)
        _mount("overlay", target, f"lowerdir={target},upperdir={upper},workdir={work}")
    for name, value in _KERNEL.items():
        if (setting := Path("/proc/sys", name)).exists():
            said = scratch / name.replace("/", ".")
            said.write_text(f"{value}\n")
            run("mount", "--bind", str(said), str(setting))
    (scratch.parent / "apart").touch()
    os.execv(program, [str(program)])  # noqa: S606 - no shell, on purpose


def _mount(kind: str, target: Path, options: str) -> None:
    run("mount", "-t", kind, "-o", options, kind, str(target))


if __name__ == "__main__":
    main()
