"""The proxy passes everything on as it came, and each fault is what its name says."""

import hashlib
import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from tests.servers.fault_proxy import FaultProxy, fault_proxy, other_host
from tests.servers.faults import (
    Answer,
    ChangeHeaders,
    CutRequest,
    CutResponse,
    Endless,
    Fault,
    LargestBody,
    MoveLocation,
    OtherBytes,
    Stall,
    Swallow,
    redirect,
    too_many_requests,
)
from tests.servers.registries import Registry

LENGTH = 300_000
BLOB = os.urandom(LENGTH)
DIGEST = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"
REPOSITORY = "/v2/t/faults"
UPLOADS = f"{REPOSITORY}/blobs/uploads/"
STREAM = {"Content-Type": "application/octet-stream"}


@pytest.fixture
def proxy(plain_registry: Registry) -> Iterator[FaultProxy]:
    with fault_proxy(plain_registry.host) as proxy:
        yield proxy


@pytest.fixture
def pool() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False, timeout=30) as pool:
        yield pool


@pytest.fixture
def blob(proxy: FaultProxy, pool: urllib3.PoolManager) -> str:
    """Push the blob, forget that it was pushed, and return its URL."""
    answer = pool.request("POST", f"{proxy.url}{UPLOADS}")
    location = f"{answer.headers['Location']}&digest={DIGEST}"
    assert pool.request("PUT", location, body=BLOB, headers=STREAM).status == 201
    proxy.requests.clear()
    return f"{proxy.url}{REPOSITORY}/blobs/{DIGEST}"


def uploading(proxy: FaultProxy, pool: urllib3.PoolManager) -> str:
    return pool.request("POST", f"{proxy.url}{UPLOADS}").headers["Location"]


def received(pool: urllib3.PoolManager, url: str) -> tuple[bytes, Exception | None]:
    """Read a body as far as it comes, and what stopped it."""
    answer = pool.request("GET", url, preload_content=False, timeout=1)
    content = bytearray()
    try:
        while data := answer.read1(1 << 16):
            content += data
    except (ProtocolError, ReadTimeoutError) as error:
        return bytes(content), error
    return bytes(content), None


def test_without_a_fault_nothing_changes(
    proxy: FaultProxy, plain_registry: Registry, pool: urllib3.PoolManager, blob: str
) -> None:
    direct = pool.request("GET", f"{plain_registry.url}{REPOSITORY}/blobs/{DIGEST}")
    passed = pool.request("GET", blob)
    assert passed.data == direct.data == BLOB
    assert {**passed.headers, "Date": ""} == {**direct.headers, "Date": ""}
    assert pool.request("HEAD", blob).status == 200
    assert [note.method for note in proxy.requests] == ["GET", "HEAD"]


def test_locations_of_the_registry_stay_at_the_proxy(
    proxy: FaultProxy, pool: urllib3.PoolManager
) -> None:
    assert uploading(proxy, pool).startswith(proxy.url)


def test_chunked_bodies_pass_in_both_directions(
    ociserver: Registry, pool: urllib3.PoolManager
) -> None:
    with fault_proxy(ociserver.host) as proxy:
        location = pool.request("POST", f"{proxy.url}{UPLOADS}").headers["Location"]
        parts = (BLOB[at : at + 70_000] for at in range(0, LENGTH, 70_000))
        sent = pool.request(
            "PATCH", f"{proxy.url}{location}", body=parts, headers=STREAM, chunked=True
        )
        assert (sent.status, sent.headers["Range"]) == (202, f"0-{LENGTH - 1}")
        assert proxy.heard("PATCH")[0].body_length == LENGTH
        assert "repositories" in pool.request("GET", f"{proxy.url}/v2/_catalog").json()


def test_a_client_may_wait_for_100_continue(proxy: FaultProxy, pool: urllib3.PoolManager) -> None:
    path = uploading(proxy, pool).removeprefix(proxy.url)
    with socket.create_connection(("127.0.0.1", int(proxy.host.split(":")[1]))) as client:
        head = f"PATCH {path} HTTP/1.1\r\nHost: {proxy.host}\r\nContent-Length: 3\r\n"
        client.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")
        client.sendall(b"abc")
        assert client.recv(1000).startswith(b"HTTP/1.1 202 ")


def test_credentials_are_noted_by_their_scheme_alone(
    proxy: FaultProxy, pool: urllib3.PoolManager
) -> None:
    headers = {"Authorization": "Bearer very-secret", "Cookie": "very-secret"}
    pool.request("GET", f"{proxy.url}/v2/", headers=headers)
    assert proxy.requests[0].headers["authorization"] == "Bearer ..."
    assert "very-secret" not in repr(proxy)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(after=st.integers(0, LENGTH - 1))
def test_a_request_is_cut_at_the_very_byte(
    proxy: FaultProxy, pool: urllib3.PoolManager, after: int
) -> None:
    proxy.heal()
    location = uploading(proxy, pool)
    cut = proxy.fault(CutRequest(after), "PATCH")
    with pytest.raises(ProtocolError, match=r"reset by peer|Broken pipe"):
        pool.request("PATCH", location, body=BLOB, headers=STREAM)
    assert cut.fired == 1
    assert proxy.heard("PATCH")[-1].body_length == after
    came = pool.request("GET", location).headers["Range"]
    assert came == f"0-{max(after - 1, 0)}"


def test_a_cut_after_the_last_byte_leaves_the_registry_with_everything(
    proxy: FaultProxy, pool: urllib3.PoolManager
) -> None:
    location = uploading(proxy, pool)
    proxy.fault(CutRequest(LENGTH), "PATCH")
    with pytest.raises(ProtocolError, match="reset by peer"):
        pool.request("PATCH", location, body=BLOB, headers=STREAM)
    assert pool.request("GET", location).headers["Range"] == f"0-{LENGTH - 1}"


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(after=st.integers(0, LENGTH - 1), reset=st.booleans())
def test_a_response_is_cut_at_the_very_byte(
    proxy: FaultProxy, pool: urllib3.PoolManager, blob: str, after: int, *, reset: bool
) -> None:
    proxy.heal()
    proxy.fault(CutResponse(after, reset=reset), "GET")
    content, error = received(pool, blob)
    assert content == BLOB[:after]
    assert ("reset by peer" if reset else "IncompleteRead") in str(error)


@pytest.mark.parametrize(
    ("fault", "content", "says"),
    [
        (Stall(1000), BLOB[:1000], "timed out"),
        (OtherBytes(), bytes([BLOB[0] ^ 1]) + BLOB[1:], None),
        (Answer(200, body=b"other"), b"other", None),
    ],
)
def test_a_body_is_spoilt(
    proxy: FaultProxy,
    pool: urllib3.PoolManager,
    blob: str,
    fault: Fault,
    content: bytes,
    says: str | None,
) -> None:
    proxy.fault(fault, "GET")
    came, error = received(pool, blob)
    assert came == content
    assert (says is None) == (error is None)
    assert says is None or says in str(error)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": str(1 << 50)}])
def test_an_endless_body_comes_until_the_client_leaves(
    proxy: FaultProxy, pool: urllib3.PoolManager, headers: dict[str, str]
) -> None:
    proxy.fault(Endless(headers))
    answer = pool.request("GET", f"{proxy.url}/v2/", preload_content=False)
    assert len(answer.read(20_000_000)) == 20_000_000
    answer.close()


def test_a_swallowed_response_was_the_registrys(
    proxy: FaultProxy, pool: urllib3.PoolManager
) -> None:
    location = uploading(proxy, pool)
    proxy.fault(Swallow(), "PUT", nth=1)
    with pytest.raises(ProtocolError, match="reset by peer"):
        pool.request("PUT", f"{location}&digest={DIGEST}", body=BLOB, headers=STREAM)
    assert proxy.heard("PUT")[0].status is None
    assert pool.request("HEAD", f"{proxy.url}{REPOSITORY}/blobs/{DIGEST}").status == 200


def test_the_nth_requests_fail_and_the_others_pass(
    proxy: FaultProxy, pool: urllib3.PoolManager
) -> None:
    busy = proxy.fault(too_many_requests("7"), "GET", "/v2/$", nth=range(2, 4))
    proxy.fault(Answer(503), "GET", "/v2/$", nth=4)
    answers = [pool.request("GET", f"{proxy.url}/v2/") for _ in range(5)]
    assert [answer.status for answer in answers] == [200, 429, 429, 503, 200]
    assert answers[1].headers["Retry-After"] == "7"
    assert (busy.met, busy.fired, proxy.count("GET")) == (5, 2, 5)


@pytest.mark.parametrize("fault", [LargestBody(1000), Answer(500, at_once=True), Answer(500)])
def test_a_body_is_refused_by_the_answer_alone(
    proxy: FaultProxy, pool: urllib3.PoolManager, fault: Fault
) -> None:
    location = uploading(proxy, pool)
    proxy.fault(fault, "PATCH", nth=range(1, 2))
    proxy.fault(ChangeHeaders({"OCI-Chunk-Min-Length": "1000", "Range": None}), "PATCH")
    refused = pool.request("PATCH", location, body=BLOB, headers=STREAM)
    assert refused.status in {413, 500}
    taken = pool.request("PATCH", location, body=BLOB[:1000], headers=STREAM)
    assert (taken.status, taken.headers["OCI-Chunk-Min-Length"]) == (202, "1000")
    assert "Range" not in taken.headers


def test_a_largest_body_may_come(proxy: FaultProxy, pool: urllib3.PoolManager) -> None:
    proxy.fault(LargestBody(1000, status=416), "PATCH")
    answers = [
        pool.request("PATCH", uploading(proxy, pool), body=BLOB[:length], headers=STREAM)
        for length in (1000, 1001)
    ]
    assert [answer.status for answer in answers] == [202, 416]


def test_other_hosts_note_who_was_sent_to_them(
    proxy: FaultProxy, pool: urllib3.PoolManager, blob: str
) -> None:
    with other_host() as other:
        other.fault(Answer(200, body=b"there"), "GET")
        proxy.fault(redirect(f"{other.url}/blob?signed=1"), "GET")
        followed = pool.request("GET", blob, redirect=True, retries=1)
        assert followed.data == b"there"
        proxy.fault(MoveLocation(other.url), "POST")
        location = uploading(proxy, pool)
        assert location.startswith(f"{other.url}{UPLOADS}")
        assert pool.request("PATCH", location, body=b"x").status == 404
        assert other.requests[0].path == "/blob?signed=1"
        assert "authorization" not in other.requests[0].headers


def test_a_registry_that_is_not_there_breaks_the_connection(pool: urllib3.PoolManager) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with fault_proxy(f"127.0.0.1:{port}") as proxy, pytest.raises(ProtocolError):
        pool.request("GET", f"{proxy.url}/v2/")


def test_the_proxy_ends_while_clients_are_connected(plain_registry: Registry) -> None:
    with fault_proxy(plain_registry.host) as proxy:
        idle, busy = (http.client.HTTPConnection(proxy.host, timeout=30) for _ in range(2))
        for client in idle, busy:
            client.request("GET", "/v2/")
            assert client.getresponse().read() == b"{}"
        busy.putrequest("PATCH", UPLOADS)
        busy.putheader("Content-Length", "10")
        busy.endheaders(b"half")
    with closing(idle), closing(busy):
        for client in idle, busy:
            assert client.sock is not None
            assert _left(client.sock)


def _left(connection: socket.socket) -> bool:
    """Tell whether the other side closed or reset the connection."""
    try:
        return not connection.recv(1)
    except ConnectionResetError:
        return True
