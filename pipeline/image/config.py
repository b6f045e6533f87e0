"""The image configuration as bytes, and read back (image-spec, config.md).

Nothing in it depends on when or where the image was built; ``PORT`` and ``K_*`` belong to Knative
and are never set.
"""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.domain.references import Digest
from pipeline.errors import CorruptedError
from pipeline.image.canonical import canonical, read_object, read_texts

CREATED = "1970-01-01T00:00:00Z"
USER = "65532:65532"  # numeric: Kubernetes checks runAsNonRoot without reading /etc/passwd
PORT = "8080/tcp"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


_SECOND = 1_000_000_000  # Docker counts nanoseconds
_HEALTHCHECK = {
    "Interval": 10 * _SECOND,
    "Timeout": 5 * _SECOND,
    "StartPeriod": 60 * _SECOND,
    "Retries": 3,
}


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """How an image runs, and the diffIDs of its layers, base first.

    ``command`` is what the entrypoint gets where nobody says otherwise; ``healthcheck`` is what
    Docker runs beside it, for nobody else does (it is no part of the image-spec).
    """

    architecture: str
    entrypoint: tuple[str, ...]
    env: dict[str, str]
    diff_ids: tuple[Digest, ...]
    labels: dict[str, str] = field(default_factory=dict)
    user: str = USER
    working_dir: str = "/tmp"  # noqa: S108 - in the image: the one place it may write
    command: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()

    def to_bytes(self) -> bytes:
        """Write the configuration; a command and a health check only where there is one."""
        config: dict[str, Any] = {
            "User": self.user,
            "ExposedPorts": {PORT: {}},
            "Env": [f"{name}={value}" for name, value in sorted(self.env.items())],
            "Entrypoint": list(self.entrypoint),
            "WorkingDir": self.working_dir,
            "Labels": self.labels,
        }
        if self.command:
            config["Cmd"] = list(self.command)
        if self.healthcheck:
            config["Healthcheck"] = {"Test": ["CMD", *self.healthcheck], **_HEALTHCHECK}
        return canonical(
            {
                "architecture": self.architecture,
                "os": "linux",
                "created": CREATED,
                "config": config,
                "rootfs": {"type": "layers", "diff_ids": [id_.value for id_ in self.diff_ids]},
            }
        )


def parse_config(content: bytes) -> ImageConfig:
    """Read a configuration; ``CorruptedError`` where it is none."""
    said = read_object(content, "an image configuration")
    try:
        return _parse(said)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptedError("read an image configuration", "its JSON", str(error)) from error


def host_platform() -> str:
    """Name this machine as OCI does: ``linux/amd64``."""
    machine = platform.machine()
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"


def _parse(said: dict[str, Any]) -> ImageConfig:
    config = said.get("config") or {}
    pairs = [item.partition("=") for item in config.get("Env") or ()]
    return ImageConfig(
        architecture=said["architecture"],
        entrypoint=tuple(config.get("Entrypoint") or ()),
        env={name: value for name, _, value in pairs},
        diff_ids=tuple(Digest(id_) for id_ in said["rootfs"]["diff_ids"]),
        labels=read_texts(config.get("Labels")),
        user=config.get("User") or "",
        working_dir=config.get("WorkingDir") or "/",
        command=tuple(config.get("Cmd") or ()),
        healthcheck=_command((config.get("Healthcheck") or {}).get("Test") or ()),
    )


def _command(test: Sequence[str]) -> tuple[str, ...]:
    """Read a health check's command; one that needs a shell is none of Laurel's."""
    return tuple(test[1:]) if test and test[0] == "CMD" else ()
