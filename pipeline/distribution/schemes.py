"""Who is spoken to without TLS: hosts that the configuration names, and loopback if it wants."""

import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress

from pipeline.distribution.addresses import Address
from pipeline.errors import ConfigurationError

_CONNECT = 5.0
_SILENCE = 3.0
_TLS_RECORDS = range(0x14, 0x19)


class Schemes:
    """Decides between https and http, and remembers what a host on loopback speaks.

    Parameters
    ----------
    plain
        Hosts, with their ports, that are spoken to without TLS.
    context
        What a host on loopback is greeted with.

    """

    def __init__(self, plain: Iterable[str], context: ssl.SSLContext) -> None:
        self._plain = frozenset(map(_plain_host, plain))
        self._context = context
        self._loopback: dict[str, str] = {}

    def address(self, host: str, target: str) -> Address | None:
        """Say where a registry's request goes; ``None`` where that is no URL."""
        plain = Address.parse(f"http://{host}{target}")
        if plain is None or plain.authority in self._plain:
            return plain
        secure = Address.parse(f"https://{host}{target}")
        if secure is None or not secure.is_loopback:
            return secure
        return secure if self._scheme(secure) == "https" else plain

    def forget(self, address: Address) -> None:
        """Ask a host on loopback again next time: another server may listen there then."""
        self._loopback.pop(address.authority, None)

    def allow(self, address: Address, asked: Address) -> bool:
        """Tell whether ``asked`` may send us to ``address``, as far as TLS goes.

        Without it only where both are on this machine, where the configuration says so, or where
        there was none before.
        """
        if address.scheme == "https" or address.authority in self._plain:
            return True
        if asked.is_loopback:
            return address.is_loopback
        return asked.scheme == "http"

    def misleads(self, address: Address, asked: Address) -> bool:
        """Tell whether ``asked``, which is elsewhere, sends us to this machine or its own link.

        What answers there answers us alone. A host that the configuration names is meant.
        """
        near = address.is_near and not asked.is_near
        return near and address.authority not in self._plain

    def _scheme(self, address: Address) -> str:
        known = self._loopback.get(address.authority)
        if known is None:
            tls = speaks_tls(address, self._context)
            known = "https" if tls else "http"
            if tls is not None:
                self._loopback[address.authority] = known
        return known


def speaks_tls(address: Address, context: ssl.SSLContext) -> bool | None:
    """Greet a server and tell from its first byte whether it speaks TLS; nothing else is sent.

    Whoever says nothing waits for plain words. ``None`` where the connection is refused or breaks.
    """
    greeting = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), greeting, server_hostname=address.host)
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    try:
        with socket.create_connection((address.host, address.port), _CONNECT) as connection:
            connection.sendall(greeting.read())
            connection.settimeout(_SILENCE)
            return _is_tls(connection)
    except OSError:
        return None


def _is_tls(connection: socket.socket) -> bool | None:
    try:
        first = connection.recv(1)
    except TimeoutError:
        return False
    return first[0] in _TLS_RECORDS if first else None


def _plain_host(host: str) -> str:
    address = Address.parse(f"http://{host}/")
    if address is None or address.target != "/":
        raise ConfigurationError(f"registry.plain_http: {host!r} is no host: write name:port")
    return address.authority
