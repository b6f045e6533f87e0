"""The network between a worker and the cluster: relays, which hang or end like any other part.

What a relay that is stopped gets is lost on the way: connections stay open, and nobody answers.
One that was killed has broken every connection, and refuses new ones.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.cluster.stack.binaries import program
from tests.cluster.stack.parts import Parts
from tests.servers.ports import free_ports


@dataclass(frozen=True)
class Lines:
    """Relays of one test: ``parts`` are their processes."""

    parts: Parts

    def to(self, url: str) -> str:
        """Lay a line to where a URL leads, named as its host and port; the URL at this end."""
        there = urlsplit(url).netloc
        (port,) = free_ports(1)
        here = f"127.0.0.1:{port}"
        self.parts.start(there, [program("scaffold"), "forward", here, there])
        return url.replace(there, here)


@contextmanager
def lines(folder: Path) -> Iterator[Lines]:
    """Lay lines until the context ends."""
    parts = Parts(folder)
    try:
        yield Lines(parts)
    finally:
        parts.stop(*parts.names(), patience=0)
