"""Addresses that registries name: read strictly, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.distribution.addresses import Address

REGISTRY = Address("https", "registry.example.com", 443, "/v2/ml/fraud/blobs/uploads/")


def test_a_url_is_taken_apart() -> None:
    address = Address.parse("https://Registry.example.com:5000/v2/?n=1&last=a%2Fb#part")
    assert address == Address("https", "registry.example.com", 5000, "/v2/?n=1&last=a%2Fb")
    assert address.authority == "registry.example.com:5000"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/v2/",
        "ftp://registry.example.com/",
        "file:///etc/passwd",
        "https://",
        "https://ada:secret@registry.example.com/",
        "https://registry.example.com:0/",
        "https://registry.example.com:65536/",
        "https://registry.example.com:x/",
        "https://[::1/",
        "https://reg istry.example.com/",
        "https://registry.example.com/\r\nX-Evil: 1",
        "https://registry.example.com/\u00e9",
        "https://-registry.example.com/",
        "https://registry.example.com\\@evil.example.com/",
        "https://registry.example.com/" + "a" * 9000,
    ],
)
def test_what_is_no_url_to_be_asked_is_none(url: str) -> None:
    assert Address.parse(url) is None


@given(st.text())
def test_no_text_breaks_the_reading_of_addresses(text: str) -> None:
    for address in (Address.parse(text), Address.parse(f"https://{text}"), REGISTRY.leads_to(text)):
        assert address is None or address.target.isascii()


@pytest.mark.parametrize(
    ("location", "authority", "target"),
    [
        ("/v2/a?b=c", "registry.example.com", "/v2/a?b=c"),
        ("next?digest=x", "registry.example.com", "/v2/ml/fraud/blobs/uploads/next?digest=x"),
        ("https://storage.example.com/x?sig=a%2bb", "storage.example.com", "/x?sig=a%2bb"),
        ("//storage.example.com/x", "storage.example.com", "/x"),
    ],
)
def test_a_location_is_resolved_where_it_was_named(
    location: str, authority: str, target: str
) -> None:
    there = REGISTRY.leads_to(location)
    assert there is not None
    assert (there.scheme, there.authority, there.target) == ("https", authority, target)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9:5000", True),
        ("[::1]:5000", True),
        ("localhost.example.com", False),
        ("128.0.0.1", False),
        ("[::2]", False),
    ],
)
def test_loopback_is_this_machine_and_nothing_else(host: str, *, loopback: bool) -> None:
    address = Address.parse(f"http://{host}/")
    assert address is not None
    assert address.is_loopback is loopback
    assert address.authority == host


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost.",
        "a.localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "0.0.0.0",  # noqa: S104 - nobody binds to it
        "169.254.169.254",
        "0xa9fea9fe",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:a9fe:a9fe]",
        "[fe80::1]",
        "[fe80::1%25eth0]",
    ],
)
def test_this_machine_and_its_link_are_near_however_they_are_written(host: str) -> None:
    address = Address.parse(f"http://{host}:5000/")
    assert address is not None
    assert address.is_near


@pytest.mark.parametrize("host", ["localhost.example.com", "10.0.0.1", "1.1", "[fd00::1]", "face"])
def test_hosts_elsewhere_are_not_near(host: str) -> None:
    address = Address.parse(f"http://{host}/")
    assert address is not None
    assert not address.is_near


def test_the_usual_port_is_as_good_as_none() -> None:
    urls = ("https://a.example.com/", "https://a.example.com:443/", "http://a.example.com:80/")
    parties = {address.party for url in urls if (address := Address.parse(url))}
    assert parties == {("a.example.com", None)}
