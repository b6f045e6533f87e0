"""The environment's proxies: who is asked through one, and what it is told of us."""

import base64
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

from pipeline.adapters.mlflow_rest import Credentials as MlflowCredentials
from pipeline.adapters.mlflow_rest import MlflowRest
from pipeline.distribution.credentials import Credentials
from pipeline.distribution.request import Request
from pipeline.distribution.retries import Retries
from pipeline.distribution.transport import Transport
from pipeline.errors import ConfigurationError, ForbiddenError, UnavailableError
from pipeline.proxies import Pools, Proxy
from tests.servers.certificates import private_certificate
from tests.servers.connect_proxy import ConnectProxy, running_connect_proxy
from tests.servers.ports import free_ports
from tests.unit.distribution.raw_server import answer, head, raw_server
from tests.unit.distribution.scene import BLOB, PULL

HOST = "registry.example.com"
ADA = "Basic " + base64.b64encode(b"ada:s3:cret/").decode()
_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


class Registry:
    """A registry that only the proxy can reach, and what it heard."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    def serve(self, connection: socket.socket, _: int) -> None:
        while True:
            said = head(connection)
            self.heads.append(said)
            answer(connection, "200 OK", b"{}")


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def secure(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[ConnectProxy, Transport]]:
    made = private_certificate(tmp_path, HOST)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
    with (
        raw_server(registry.serve, context) as there,
        running_connect_proxy(registry_example_com=there) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:s3%3Acret%2F@{proxy.url[7:]}")
        transport = Transport(
            Credentials({}), ca_file=made.ca_file, retries=Retries(lambda _: None)
        )
        yield proxy, transport
        transport.close()


@pytest.fixture
def plain(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[ConnectProxy, Transport]]:
    with (
        raw_server(registry.serve) as there,
        running_connect_proxy(registry_example_com=there) as proxy,
    ):
        monkeypatch.setenv("http_proxy", f"ada:s3%3Acret%2F@{proxy.url[7:]}")
        transport = Transport(Credentials({}), plain_http=[HOST], retries=Retries(lambda _: None))
        yield proxy, transport
        transport.close()


def ask(transport: Transport, host: str = HOST) -> int:
    request = Request("GET", host, f"{BLOB}?a=b", PULL, "read a layer", "ml/fraud")
    with transport.open(request) as response:
        response.read()
        return response.status


def test_a_registry_is_asked_through_a_tunnel_that_its_credentials_do_not_leave(
    secure: tuple[ConnectProxy, Transport], registry: Registry
) -> None:
    proxy, transport = secure
    proxy.authorization = ADA
    assert [ask(transport), ask(transport)] == [200, 200]
    assert proxy.heard == [f"CONNECT {HOST}:443"]
    assert all(b"Proxy-Authorization" not in heard for heard in registry.heads)
    assert registry.heads[0].startswith(f"GET {BLOB}?a=b HTTP/1.1".encode())
    assert f"Host: {HOST}\r\n".encode() in registry.heads[0]


def test_a_registry_without_tls_is_asked_by_the_proxy(
    plain: tuple[ConnectProxy, Transport], registry: Registry
) -> None:
    proxy, transport = plain
    proxy.authorization = ADA
    assert ask(transport) == 200
    assert proxy.heard == [f"GET http://{HOST}{BLOB}?a=b"]
    assert f"Host: {HOST}\r\n".encode() in registry.heads[0]


@pytest.mark.parametrize("way", ["secure", "plain"])
def test_a_proxy_that_knows_us_not_is_named_without_our_credentials(
    way: str, request: pytest.FixtureRequest, registry: Registry
) -> None:
    proxy, transport = request.getfixturevalue(way)
    proxy.authorization = "Basic another"
    with pytest.raises(ForbiddenError, match=r"the proxy 127\.0\.0\.1:\d+ \(HTTPS?_PROXY\)") as no:
        ask(transport)
    assert "write its credentials there" in str(no.value)
    assert "cret" not in f"{no.value!r} {no.value.__cause__!r} {transport.__dict__!r}"
    assert not registry.heads


def test_a_proxy_that_lets_nobody_to_the_registry_is_named(
    secure: tuple[ConnectProxy, Transport],
) -> None:
    proxy, transport = secure
    proxy.status = 403
    with pytest.raises(ForbiddenError, match=r"answers 403: have its owner allow that host"):
        ask(transport)


def test_a_proxy_that_reaches_nobody_is_waited_for(secure: tuple[ConnectProxy, Transport]) -> None:
    proxy, transport = secure
    proxy.status = 502
    with pytest.raises(UnavailableError, match=r"\(HTTPS_PROXY\) .*does not answer \(502\)"):
        ask(transport)
    assert len(proxy.heard) == 4


def test_a_proxy_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:secret@127.0.0.1:{port}")
    transport = Transport(Credentials({}), retries=Retries(lambda _: None))
    with pytest.raises(UnavailableError, match=r"the proxy 127\.0\.0\.1:\d+ .*does not an") as away:
        ask(transport)
    assert "secret" not in f"{away.value!r} {away.value.__cause__!r}"
    transport.close()


def test_loopback_is_asked_straight(
    registry: Registry, plain: tuple[ConnectProxy, Transport]
) -> None:
    proxy, transport = plain
    with raw_server(registry.serve) as there:
        assert ask(transport, there) == 200
        assert ask(transport, f"localhost:{there.rpartition(':')[2]}") == 200
        transport.close()
    assert proxy.heard == []


def test_mlflow_is_asked_through_the_proxy_too_and_each_is_shown_its_own_credentials(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        raw_server(registry.serve) as there,
        running_connect_proxy(mlflow_example_com=there) as proxy,
    ):
        proxy.authorization = ADA
        monkeypatch.setenv("HTTP_PROXY", f"http://ada:s3%3Acret%2F@{proxy.url[7:]}")
        rest = MlflowRest("http://mlflow.example.com", MlflowCredentials.bearer("token"))
        assert rest.get("/api", {"a": "b"}, "", attempted="read", subject="it") == {}
        rest.close()
    assert proxy.heard == ["GET http://mlflow.example.com/api?a=b"]
    assert b"Authorization: Bearer token" in registry.heads[0]


@pytest.mark.parametrize(
    ("excepted", "host"),
    [
        ("*", HOST),
        ("other.example, registry.example.com", HOST),
        ("example.com", HOST),
        (".example.com", HOST),
        ("registry.example.com:443", HOST),
        ("10.1.2.3", "10.1.2.3"),
        ("none, 10.0.0.0/8", "10.1.2.3"),
        ("fd00::/8", "fd00::1"),
        ("", "localhost"),
        ("", "127.0.0.7"),
        ("", "::1"),
    ],
)
def test_who_is_excepted_is_asked_straight(
    monkeypatch: pytest.MonkeyPatch, excepted: str, host: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert Pools().way_to("https", host, 443) is None


@pytest.mark.parametrize(
    ("excepted", "host"),
    [
        ("", HOST),
        ("sub.registry.example.com, ample.com, 10.0.0.0/8", HOST),
        ("registry.example.com:5000", HOST),
        ("10.0.0.0/8", "11.1.2.3"),
        ("10.0.0.0/8", "fd00::1"),
    ],
)
def test_who_is_not_excepted_is_asked_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, excepted: str, host: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    way = Pools().way_to("https", host, 443)
    assert way == Proxy("HTTPS_PROXY", "http", "proxy.example:3128")
    assert Pools().way_to("http", host, 80) is None


@pytest.mark.parametrize(
    ("said", "authority"),
    [
        ("proxy.example", "proxy.example:80"),
        ("https://proxy.example/", "proxy.example:443"),
        ("http://[fd00::1]:3128", "[fd00::1]:3128"),
    ],
)
def test_a_proxys_address_may_leave_out_what_goes_without_saying(said: str, authority: str) -> None:
    assert Proxy.parse("HTTP_PROXY", said).authority == authority


@pytest.mark.parametrize("said", ["socks5://ada:secret@h:1", "http://ada:secret@h:port", "http://"])
def test_what_is_no_proxy_is_refused_and_not_repeated(said: str) -> None:
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY is not the address") as caught:
        Proxy.parse("HTTPS_PROXY", said)
    assert "secret" not in f"{caught.value!r} {caught.value.__context__!r}"


def test_a_url_of_another_kind_is_not_asked() -> None:
    with pytest.raises(urllib3.exceptions.HTTPError):
        Pools().request("GET", "ftp://files.example/x")


def test_a_proxys_credentials_are_not_printed() -> None:
    proxy = Proxy.parse("HTTP_PROXY", "http://ada:secret@proxy.example")
    assert "secret" not in f"{proxy!r} {proxy}"
    assert proxy.authorization.removeprefix("Basic ") not in f"{proxy!r} {proxy}"


def test_closing_ends_the_connections_to_mlflow() -> None:
    ended: list[bytes] = []

    def serve(connection: socket.socket, _: int) -> None:
        head(connection)
        answer(connection, "200 OK", b"{}")
        ended.append(connection.recv(1))

    with raw_server(serve) as host:
        rest = MlflowRest(f"http://{host}")
        rest.get("/api", {}, "", attempted="read", subject="it")
        rest.close()
    assert ended == [b""]
