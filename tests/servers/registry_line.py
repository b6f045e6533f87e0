"""Laurel's client and a real registry, and the fault proxy between the two."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.adapters.remote_registry import RemoteRegistry
from pipeline.domain.content import Content
from pipeline.domain.references import Digest
from pipeline.domain.serving import Blob
from tests.servers.fault_proxy import FaultProxy, fault_proxy
from tests.servers.registries import Registry
from tests.servers.registry_client import client_of


@dataclass
class Line:
    """What a test may break: ``client`` knows the registry as ``proxy`` only.

    ``repository`` is one that no other test uses; ``waits`` are the seconds that the client would
    have waited.
    """

    proxy: FaultProxy
    client: RemoteRegistry
    waits: list[float]
    path: str = field(default_factory=lambda: f"t{secrets.token_hex(6)}/breaks")

    @property
    def repository(self) -> str:
        return f"{self.proxy.host}/{self.path}"

    def push(self, content: Content) -> Blob:
        """Push a blob."""
        return self.client.push_blob(self.repository, content)

    def read(self, digest: Digest) -> bytes:
        """Read a blob."""
        return b"".join(self.client.read_blob(self.repository, digest))

    def manifest(self, reference: str) -> bytes | None:
        """Read a manifest."""
        return self.client.manifest(self.repository, reference)

    def sent(self) -> list[tuple[str | None, int]]:
        """List the ranges that were sent, and how many bytes of each came through."""
        heard = self.proxy.heard("PATCH")
        return [(r.headers.get("content-range"), r.body_length) for r in heard]


@contextmanager
def line_to(registry: Registry, folder: Path) -> Iterator[Line]:
    """Lend a line whose client's docker configuration lies in ``folder``."""
    waits: list[float] = []
    with (
        fault_proxy(registry.host) as proxy,
        client_of(registry, folder, host=proxy.host, wait=waits.append) as client,
    ):
        yield Line(proxy, client, waits)
