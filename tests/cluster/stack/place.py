"""Where a cluster stands: its folder, names and addresses. Several stand beside each other."""

import os
from dataclasses import dataclass
from pathlib import Path

ROOMS = ("webhook", "controller", "autoscaler", "kourier", "envoy", "activator")
"""Programs with a network namespace of their own: several insist on port 8080. They have the
addresses .2, .3 and so on."""

SERVICES = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DOMAIN = "laurel.test"


def kept_folder() -> Path:
    """Name the folder of everything that outlives test runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "laurel-tests"


def cache_folder() -> Path:
    """Name the folder of what is built once."""
    return kept_folder() / "cluster"


@dataclass(frozen=True)
class Place:
    """One of several clusters on this machine, by number: pytest and people use 0."""

    number: int = 0

    @property
    def folder(self) -> Path:
        """Hold its records, keys, logs and storage; gone when it is down."""
        return kept_folder() / f"cluster-run-{self.number}"

    @property
    def link(self) -> str:
        """Name this machine's end of the one cable into it."""
        return f"lrl{self.number}"

    @property
    def cgroup(self) -> str:
        """Name the control group of all its processes."""
        return f"laurel-cluster-{self.number}"

    def address(self, last: str) -> str:
        """Complete an address of its network from its last two numbers."""
        return f"10.{246 + self.number}.{last}"

    @property
    def outside(self) -> str:
        """Name this machine's own address there: where pods find what a test serves."""
        return self.address("0.254")

    @property
    def host(self) -> str:
        """Name the address of API server, node, registry and Prometheus."""
        return self.address("0.1")

    def room(self, name: str) -> str:
        """Name the address of a program that has a network namespace of its own."""
        return self.address(f"0.{2 + ROOMS.index(name)}")

    @property
    def registry(self) -> str:
        """Name the registry, for this machine, nodes and pods alike."""
        return f"{self.host}:5000"

    @property
    def gateway(self) -> str:
        """Name the URL of Envoy; the Host header says which service."""
        return f"http://{self.room('envoy')}:8080"

    @property
    def statistics(self) -> str:
        """Name the URL of Envoy's statistics."""
        return f"http://{self.room('envoy')}:9000/stats/prometheus"

    @property
    def prometheus(self) -> str:
        """Name the URL of Prometheus."""
        return f"http://{self.host}:9090"

    @property
    def api(self) -> str:
        """Name the URL of the API server."""
        return f"https://{self.host}:6443"
