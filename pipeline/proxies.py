"""Connections through the environment's proxies, which docker, crane and boto3 honour too.

``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY``, in upper or lower case. Loopback is never asked
through one. A proxy's address may hold credentials: they go to the proxy and into no message.
"""

import base64
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Self
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import LocationParseError, LocationValueError
from urllib3.util import parse_url

from pipeline.errors import ConfigurationError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy: the ``variable`` that names it, its host and port, and who we are to it."""

    variable: str
    scheme: str
    authority: str
    authorization: str = field(default="", repr=False)

    @classmethod
    def parse(cls, variable: str, said: str) -> Self:
        """Read a variable's value; ``ConfigurationError`` where it is no proxy that we speak to."""
        with suppress(LocationParseError, ValueError):
            url = parse_url(said if "://" in said else f"http://{said}")
            if url.scheme in _PORTS and url.host:
                port = url.port or _PORTS[url.scheme]
                pair = unquote(url.auth or "").encode(errors="surrogateescape")
                login = f"Basic {base64.b64encode(pair).decode()}" if pair else ""
                return cls(variable, url.scheme, f"{url.host}:{port}", login)
        raise ConfigurationError(
            f"{variable} is not the address of an http or https proxy: write http://host:port"
        )

    def __str__(self) -> str:
        return f"the proxy {self.authority} ({self.variable})"


class Pools:
    """Connections that are kept open, straight or through a proxy; threads may share one.

    Parameters
    ----------
    classes
        What makes connections, by scheme; urllib3's own by default.
    parts
        As ``urllib3.PoolManager`` takes them.

    """

    def __init__(
        self,
        classes: Mapping[str, type[urllib3.HTTPConnectionPool]] | None = None,
        **parts: Any,  # noqa: ANN401 - passed on to urllib3, which types them so
    ) -> None:
        self._said = getproxies()
        self._classes = classes
        self._parts = parts
        self._making = threading.Lock()
        self._managers: dict[Proxy | None, urllib3.PoolManager] = {}

    def way_to(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Tell through which proxy a host is asked; ``None`` for straight on."""
        said = self._said.get(scheme)
        if not said or _is_loopback(host) or self._is_excepted(host, port):
            return None
        return Proxy.parse(f"{scheme.upper()}_PROXY", said)

    def by(self, proxy: Proxy | None) -> urllib3.PoolManager:
        """Lend the connections that go through a proxy, or through none."""
        with self._making:
            if proxy not in self._managers:
                self._managers[proxy] = self._made(proxy)
            return self._managers[proxy]

    def request(
        self,
        method: str,
        url: str,
        **parts: Any,  # noqa: ANN401 - as above
    ) -> urllib3.BaseHTTPResponse:
        """Send a request as ``urllib3.PoolManager`` does."""
        to = parse_url(url)
        if to.scheme not in _PORTS or not to.host:
            raise LocationValueError("not an http or https URL")
        way = self.way_to(to.scheme, to.host.strip("[]"), to.port or _PORTS[to.scheme])
        return self.by(way).request(method, url, **parts)

    def close(self) -> None:
        """Close every connection that is idle; urllib3 alone would leave that to the collector."""
        with self._making:
            managers = list(self._managers.values())
        for pools in (manager.pools for manager in managers):
            for pool in [pools[key] for key in pools.keys()]:  # noqa: SIM118 - it has no iterator
                pool.close()
            pools.clear()

    def _made(self, proxy: Proxy | None) -> urllib3.PoolManager:
        made = urllib3.PoolManager(**self._parts)
        if proxy is not None:
            made = urllib3.ProxyManager(
                f"{proxy.scheme}://{proxy.authority}",
                proxy_headers=_shown(proxy),
                proxy_ssl_context=self._parts.get("ssl_context"),
                **self._parts,
            )
        if self._classes is not None:
            made.pool_classes_by_scheme = dict(self._classes)
        return made

    def _is_excepted(self, host: str, port: int) -> bool:
        """Tell whether ``NO_PROXY`` names a host: by name, domain, address, or network."""
        if proxy_bypass(f"{host}:{port}", self._said):
            return True
        with suppress(ValueError):
            address = ip_address(host)
            for name in self._said.get("no", "").split(","):
                with suppress(ValueError):
                    if address in ip_network(name.strip(), strict=False):
                        return True
        return False


def _shown(proxy: Proxy) -> dict[str, str]:
    return {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return False
