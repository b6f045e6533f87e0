"""Laurel's own client of a registry that tests started, logged in as its writer."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.adapters.remote_registry import RemoteRegistry
from pipeline.distribution.credentials import Credentials
from pipeline.distribution.retries import Retries
from pipeline.distribution.transport import Transport
from tests.servers.registries import Registry


def no_wait(seconds: float) -> None:
    """Come back at once: what is tried again in a test need not wait for anybody."""
    del seconds


@contextmanager
def client_of(
    registry: Registry,
    folder: Path,
    *,
    host: str | None = None,
    wait: Callable[[float], None] = no_wait,
) -> Iterator[RemoteRegistry]:
    """Lend a client whose docker configuration lies in ``folder``.

    ``host`` is where the registry is spoken to, if not where it listens: a proxy before it.
    """
    auths = {}
    if registry.username is not None:
        pair = f"{registry.username}:{registry.password}".encode()
        auths[host or registry.host] = {"auth": base64.b64encode(pair).decode()}
    (folder / "config.json").write_text(json.dumps({"auths": auths}))
    transport = Transport(
        Credentials({"DOCKER_CONFIG": str(folder)}),
        ca_file=registry.ca_file,
        plain_http=(host,) if host else (),
        retries=Retries(wait),
    )
    try:
        yield RemoteRegistry(transport, wait=wait)
    finally:
        transport.close()
