"""Connections to registries, kept open: one call goes out, one response comes back."""

import re
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, ProxyError, SSLError

from pipeline.distribution.addresses import Address
from pipeline.errors import (
    ConfigurationError,
    CorruptedError,
    ForbiddenError,
    PermanentError,
    UnavailableError,
)
from pipeline.proxies import Pools, Proxy

_CONNECT = 5.0
_SEND = 60.0
_AT_ONCE = 16
_WORTH_READING = 1 << 16
_REFUSED = re.compile(r"Tunnel connection failed: ([0-9]{3})")


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request as it goes over the wire; ``attempted`` and ``subject`` are for errors."""

    method: str
    address: Address
    headers: Mapping[str, str]
    attempted: str
    subject: str
    body: Callable[[], Iterable[bytes]] | None = None
    size: int = 0
    patience: float = 60.0
    once: bool = False


def trust(ca_file: Path | None, setting: str = "registry.ca_file") -> ssl.SSLContext:
    """Trust what the system trusts (``SSL_CERT_FILE`` is Python's own), and ``ca_file`` too.

    ``setting`` is what laurel.yaml calls that file, for whoever must mend it.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise ConfigurationError(
                f"{setting}: {ca_file} holds no certificates in PEM that can be read"
            ) from error
    return context


class Connections:
    """Open connections, by host; a call takes one that is idle, or makes one."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._pools = Pools(
            {"http": _PlainPool, "https": _TlsPool},
            num_pools=_AT_ONCE,
            maxsize=_AT_ONCE,
            ssl_context=context,
        )

    def send(self, call: Call) -> urllib3.BaseHTTPResponse:
        """Send a call once; its response has not been read, and redirects are not followed.

        Raises
        ------
        UnavailableError
            Where nobody answers.
        ForbiddenError
            Where a proxy on the way does not let us through.
        PermanentError
            Where whoever answers has a certificate that nobody vouches for.
        CorruptedError
            Where the body is not as long as the call says.

        """
        address = call.address
        proxy = self._pools.way_to(*address.origin)
        pool = self._pools.by(proxy).connection_from_host(
            address.host, address.port, address.scheme
        )
        forwarded = proxy is not None and address.scheme == "http"
        headers = dict(call.headers)
        if call.body is not None:
            headers["Content-Length"] = str(call.size)
        try:
            response = pool.urlopen(
                call.method,
                f"http://{address.authority}{address.target}" if forwarded else address.target,
                body=None if call.body is None else _announced(call, call.body),
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,  # a target may begin with two slashes
                timeout=urllib3.Timeout(connect=_CONNECT, read=call.patience),
                preload_content=False,
                decode_content=False,
            )
        except _SourceError as error:
            raise error.cause from error.cause.__cause__
        except ProxyError as error:
            raise _not_let_through(call, proxy, error) from error
        except HTTPError as error:
            raise _no_answer(call, error) from error
        if response.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED and proxy is not None:
            response.close()
            raise _refused(call, proxy, response.status)
        return response

    def close(self) -> None:
        """Close every connection that is idle."""
        self._pools.close()


def let_go(response: urllib3.BaseHTTPResponse) -> None:
    """Have done with a response: its connection is kept if little is left to read, else closed."""
    left = response.length_remaining
    try:
        if left is not None and left <= _WORTH_READING:
            response.read()
    except HTTPError:
        pass  # nobody wanted it
    finally:
        response.close()  # after the last byte the connection is in its pool, out of reach


class _SourceError(Exception):
    """Reading what should be sent failed: carries the error past urllib3, to which it is none."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(cause)
        self.cause = cause


def _announced(call: Call, body: Callable[[], Iterable[bytes]]) -> Iterator[bytes]:
    """Read the body, and see to it that it has as many bytes as were announced."""
    sent = 0
    try:
        for chunk in body():
            sent += len(chunk)
            if sent > call.size:
                break
            yield chunk
    except (OSError, HTTPException, HTTPError) as error:
        raise _SourceError(error) from error
    if sent != call.size:
        told = f"more than {call.size}" if sent > call.size else f"{sent} of {call.size}"
        raise CorruptedError(
            call.attempted, call.subject, f"what is sent has {told} bytes: it changed meanwhile"
        )


def _not_let_through(
    call: Call, proxy: Proxy | None, error: ProxyError
) -> ForbiddenError | UnavailableError:
    """Tell a proxy that refuses from one that is away; its own words are not repeated."""
    status = _REFUSED.search(str(error.original_error))
    if status is not None and status[1].startswith("4"):
        return _refused(call, proxy, int(status[1]))
    what = status[1] if status else type(error.original_error).__name__
    return UnavailableError(
        call.attempted, call.address.authority, f"{proxy} on the way to it does not answer ({what})"
    )


def _refused(call: Call, proxy: Proxy | None, status: int) -> ForbiddenError:
    hint = f"{proxy} on the way to it answers {status}"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        hint += ": write its credentials there, http://name:password@host:port"
    else:
        hint += ": have its owner allow that host, or name the host in NO_PROXY"
    return ForbiddenError(call.attempted, call.address.authority, hint)


def _no_answer(call: Call, error: HTTPError) -> PermanentError | UnavailableError:
    host = call.address.authority
    cause = error.args[0] if isinstance(error, SSLError) and error.args else None
    if isinstance(cause, ssl.SSLCertVerificationError):
        return PermanentError(
            call.attempted,
            host,
            f"its certificate is not trusted ({cause.verify_message}): name the authority's file "
            "in registry.ca_file",
        )
    return UnavailableError(
        call.attempted, host, f"it does not answer ({type(cause or error).__name__})"
    )


class _Connection(HTTPConnection):
    """A connection that is as patient with a registry that reads slowly as with one that thinks.

    urllib3 has the time for connecting stand while a body is sent. Where the other side hangs up
    meanwhile, it goes on to the response, which may have come first (413, say); TLS calls that by
    other names.
    """

    def send(self, data: object) -> None:
        if self.sock is not None:
            self.sock.settimeout(_SEND)
        try:
            super().send(data)  # type: ignore[arg-type]  # whatever http.client sends; it checks
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise BrokenPipeError from error


class _TlsConnection(_Connection, HTTPSConnection):
    """The same over TLS."""


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
