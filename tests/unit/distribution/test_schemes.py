"""Who is spoken to without TLS."""

import socket
import ssl
from pathlib import Path

import pytest

from pipeline.distribution import schemes as module
from pipeline.distribution.addresses import Address
from pipeline.distribution.schemes import Schemes, speaks_tls
from tests.servers.certificates import private_certificate
from tests.servers.ports import free_ports
from tests.unit.distribution.raw_server import answer, head, raw_server

CONTEXT = ssl.create_default_context()


def scheme(schemes: Schemes, host: str) -> str | None:
    address = schemes.address(host, "/v2/")
    return None if address is None else address.scheme


def address(url: str) -> Address:
    parsed = Address.parse(url)
    assert parsed is not None
    return parsed


def plain(connection: socket.socket, number: int) -> None:
    """Answer what is no HTTP as Go's server does, and HTTP."""
    del number
    first = connection.recv(1, socket.MSG_PEEK)
    if first == b"\x16":
        return connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    head(connection)
    return answer(connection, "200 OK")


def silent(connection: socket.socket, number: int) -> None:
    del number
    connection.recv(1 << 16)
    connection.recv(1)


def hung_up(connection: socket.socket, number: int) -> None:
    del number
    connection.recv(1 << 16)


def test_a_host_elsewhere_is_spoken_to_with_tls_unless_the_configuration_says_otherwise() -> None:
    schemes = Schemes(["Registry.example.com:5000", "plain.example.com"], CONTEXT)
    assert scheme(schemes, "registry.example.com") == "https"
    assert scheme(schemes, "registry.example.com:5000") == "http"
    assert scheme(schemes, "plain.example.com") == "http"
    assert scheme(schemes, "plain.example.com:80") == "http"
    assert scheme(schemes, "plain.example.com:8080") == "https"
    assert scheme(schemes, "no host") is None


def test_a_server_on_loopback_is_spoken_to_as_it_speaks(tmp_path: Path) -> None:
    made = private_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.certificate, made.key)
    with raw_server(silent, tls) as secure, raw_server(plain) as insecure:
        schemes = Schemes([], CONTEXT)
        assert scheme(schemes, secure) == "https"
        assert scheme(schemes, insecure) == "http"
        assert scheme(schemes, insecure.replace("127.0.0.1", "localhost")) == "http"


def test_what_a_server_on_loopback_speaks_is_asked_once_until_it_is_forgotten() -> None:
    seen: list[int] = []

    def counting(connection: socket.socket, number: int) -> None:
        seen.append(number)
        plain(connection, number)

    with raw_server(counting) as host:
        schemes = Schemes([], CONTEXT)
        assert [scheme(schemes, host), scheme(schemes, host)] == ["http", "http"]
        assert seen == [1]
        schemes.forget(address(f"http://{host}/"))
        assert scheme(schemes, host) == "http"
        assert seen == [1, 2]


def test_a_server_that_only_listens_waits_for_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SILENCE", 0.2)
    with raw_server(silent) as host:
        assert speaks_tls(address(f"https://{host}/"), CONTEXT) is False


def test_a_server_that_hangs_up_is_asked_again_next_time() -> None:
    seen: list[int] = []

    def counting(connection: socket.socket, number: int) -> None:
        seen.append(number)
        hung_up(connection, number)

    with raw_server(counting) as host:
        schemes = Schemes([], CONTEXT)
        assert [scheme(schemes, host), scheme(schemes, host)] == ["http", "http"]
        assert seen == [1, 2]


def test_nobody_there_is_nobody_who_speaks_tls() -> None:
    there = address(f"https://127.0.0.1:{free_ports(1)[0]}/")
    assert speaks_tls(there, CONTEXT) is None


@pytest.mark.parametrize(
    ("asked", "there", "allowed"),
    [
        ("https://r.example.com/", "https://s.example.com/", True),
        ("https://r.example.com/", "http://s.example.com/", False),
        ("https://r.example.com/", "http://r.example.com/", False),
        ("https://r.example.com/", "http://127.0.0.1/", False),
        ("https://r.example.com/", "http://plain.example.com/", True),
        ("http://plain.example.com/", "http://s.example.com/", True),
        ("http://127.0.0.1/", "http://s.example.com/", False),
        ("http://127.0.0.1/", "http://localhost:99/", True),
        ("https://127.0.0.1/", "http://localhost:99/", True),
    ],
)
def test_nobody_is_sent_away_from_tls_but_on_this_machine_or_where_it_is_configured(
    asked: str, there: str, *, allowed: bool
) -> None:
    schemes = Schemes(["plain.example.com"], CONTEXT)
    assert schemes.allow(address(there), address(asked)) is allowed


@pytest.mark.parametrize(
    ("asked", "there", "misled"),
    [
        ("https://r.example.com/", "https://127.0.0.1/", True),
        ("http://plain.example.com/", "http://169.254.169.254/", True),
        ("https://r.example.com/", "https://s.example.com/", False),
        ("https://r.example.com/", "http://localhost:5001/", False),
        ("https://127.0.0.1/", "https://localhost:99/", False),
        ("https://127.0.0.1/", "https://s.example.com/", False),
    ],
)
def test_nobody_elsewhere_sends_us_to_this_machine_unless_it_is_configured(
    asked: str, there: str, *, misled: bool
) -> None:
    schemes = Schemes(["localhost:5001"], CONTEXT)
    assert schemes.misleads(address(there), address(asked)) is misled
