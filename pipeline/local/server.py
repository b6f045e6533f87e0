"""How an image's model server is executed, in a sandbox or without one."""

from pathlib import Path

from pipeline.domain.plan import EnvVar
from pipeline.errors import ConfigurationError, PermanentError
from pipeline.local.processes import Command
from pipeline.local.rootfs import Rootfs

_LISTENER = {"LAUREL_LISTEN_FD": "3"}
_PATHS = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")


def server_command(rootfs: Rootfs, env: dict[str, str], output: Path, *, isolated: bool) -> Command:
    """Say how to execute the image's entrypoint.

    Without isolation there is no root to change to: the interpreter, the script and the search
    paths are found in the unpacked tree, and ``LAUREL_ROOT`` tells the script where that is.
    """
    argv, inside = rootfs.config.entrypoint, {**rootfs.config.env, **env, **_LISTENER}
    if not argv:
        raise PermanentError("start", str(rootfs.path), "the image has no Entrypoint: rebuild it")
    if isolated:
        return Command(
            argv=argv, env=inside, cwd=rootfs.config.working_dir, output=output, root=rootfs.path
        )
    translated = {name: _below(rootfs.path, inside[name]) for name in _PATHS if name in inside}
    return Command(
        argv=tuple(_below(rootfs.path, part) for part in argv),
        env={**inside, **translated, "LAUREL_ROOT": str(rootfs.path)},
        cwd=str(rootfs.path),
        output=output,
    )


def plain_env(service: str, env: tuple[EnvVar, ...]) -> dict[str, str]:
    """Read a service's variables; this machine has no Kubernetes secrets to refer to."""
    for variable in env:
        if variable.secret_name is not None:
            raise ConfigurationError(
                f"service {service}: env {variable.name} refers to the Kubernetes secret "
                f"{variable.secret_name}, which serving: local has not; give it a value instead"
            )
    return {variable.name: variable.value or "" for variable in env}


def _below(root: Path, paths: str) -> str:
    return ":".join(f"{root}{path}" if path.startswith("/") else path for path in paths.split(":"))
