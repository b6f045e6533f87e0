"""Where a request goes: addresses that registries name are read strictly, since they are theirs."""

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Self
from urllib.parse import urljoin, urlsplit

_PORTS = {"http": 80, "https": 443}
_URL = re.compile(r"[!-~]{1,8192}\Z")
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?\.?\Z")


@dataclass(frozen=True, slots=True)
class Address:
    """An http or https URL in its parts: ``host`` in lower case, ``target`` with its query."""

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, url: str) -> Self | None:
        """Read a URL; ``None`` where it is none that may be asked.

        Control characters, spaces, other schemes and names or passwords before the host are
        reasons; a fragment is left out.
        """
        if not _URL.match(url):
            return None
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return None
        default = _PORTS.get(parts.scheme)
        if default is None or "@" in parts.netloc or port == 0 or not _is_host(host):
            return None
        query = f"?{parts.query}" if parts.query else ""
        return cls(parts.scheme, host, port or default, f"{parts.path or '/'}{query}")

    @property
    def origin(self) -> tuple[str, str, int]:
        """Who is asked: what differs in one of these is somebody else."""
        return self.scheme, self.host, self.port

    @property
    def party(self) -> tuple[str, int | None]:
        """Host and port alone; the scheme's own port is as good as none."""
        return self.host, None if self.port == _PORTS[self.scheme] else self.port

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.party[1] is None else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether it can only be this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_near(self) -> bool:
        """Whether it is this machine, or its own link, where clouds keep machines' credentials.

        Every way to write such an address counts; what a name leads to is not looked up.
        """
        if self.host.rstrip(".").rpartition(".")[2] == "localhost":
            return True
        address = _ip(self.host)
        return address is not None and (
            address.is_loopback or address.is_link_local or address.is_unspecified
        )

    def leads_to(self, location: str) -> Self | None:
        """Resolve what a response to this request named; ``None`` where it is no URL."""
        try:
            return self.parse(urljoin(f"{self.scheme}://{self.authority}{self.target}", location))
        except ValueError:
            return None


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read an address as the system will: ``127.1`` and ``2130706433`` are 127.0.0.1."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _NAME.match(host) is not None
    return True
