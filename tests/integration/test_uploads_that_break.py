"""However an upload breaks, it ends in the same digest or in nothing at all."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.domain.content import Content
from pipeline.domain.promotion import Control, ControlKind
from pipeline.domain.references import Digest
from pipeline.domain.serving import Blob
from pipeline.errors import CorruptedError, PermanentError, RateLimitedError, UnavailableError
from pipeline.interrupts import Interrupted
from tests.servers.faults import (
    Answer,
    ChangeHeaders,
    CutRequest,
    Fault,
    LargestBody,
    Swallow,
    too_many_requests,
)
from tests.servers.registries import Registry
from tests.servers.registry_line import Line, line_to

pytestmark = pytest.mark.xdist_group("registries")

MIB = 1 << 20
LARGE = random.Random(4).randbytes(3 * MIB + 77)  # noqa: S311 - any bytes will do, the same each time
UPLOADS = "/blobs/uploads/"


@pytest.fixture(scope="module", params=["plain_registry", "ociserver", "odd_registry"])
def registry(request: pytest.FixtureRequest) -> Registry:
    found: Registry = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def long_line(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    with line_to(registry, tmp_path_factory.mktemp("client")) as line:
        yield line


@pytest.fixture
def odd(odd_registry: Registry, tmp_path: Path) -> Iterator[Line]:
    with line_to(odd_registry, tmp_path) as line:
        yield line


@pytest.fixture
def line(plain_registry: Registry, tmp_path: Path) -> Iterator[Line]:
    with line_to(plain_registry, tmp_path) as line:
        yield line


def in_chunks(whole: bytes, size: int = 100_000) -> Iterator[bytes]:
    yield from (whole[at : at + size] for at in range(0, len(whole), size))


def content(whole: bytes = LARGE, size: int = 100_000) -> Content:
    return Content(partial(in_chunks, whole, size), len(whole))


def unfinished(registry: Registry) -> set[Path]:
    """Name the bytes that distribution keeps of uploads that nobody ended."""
    return set(registry.folder.glob("data/**/_uploads/*/data"))


REFUSALS: list[Fault] = [Answer(500), Answer(503, at_once=True), too_many_requests(), Swallow()]
CUTS = st.builds(CutRequest, after=st.integers(0, len(LARGE)))
FAULTS = st.lists(
    st.one_of(
        st.tuples(st.just("PATCH"), CUTS),
        st.tuples(st.sampled_from(["POST", "PATCH", "GET", "PUT"]), st.sampled_from(REFUSALS)),
        st.tuples(st.just("GET"), st.just(Answer(404))),
    ),
    max_size=4,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(faults=FAULTS, size=st.integers(1000, 2 * MIB))
def test_an_upload_that_breaks_at_any_byte_ends_in_the_same_digest(
    long_line: Line, faults: list[tuple[str, Fault]], size: int
) -> None:
    long_line.proxy.heal()
    for number, (method, fault) in enumerate(faults, 1):
        long_line.proxy.fault(fault, method, UPLOADS, nth=number)
    blob = long_line.push(content(LARGE, size))
    long_line.proxy.heal()
    assert blob == Blob(Digest.of(LARGE), len(LARGE))
    assert long_line.read(blob.digest) == LARGE


def test_what_has_arrived_is_not_sent_again(line: Line) -> None:
    for number, after in enumerate((MIB, MIB // 2), 1):
        line.proxy.fault(CutRequest(after), "PATCH", nth=number)
    blob = line.push(content())
    (_, first), (resumed, second), (again, third) = line.sent()
    last = len(LARGE) - 1
    assert (first, second, third) == (MIB, MIB // 2, len(LARGE) - MIB - MIB // 2)
    assert (resumed, again) == (f"{MIB}-{last}", f"{MIB + MIB // 2}-{last}")
    assert line.read(blob.digest) == LARGE


def test_each_bit_of_progress_renews_the_patience(line: Line) -> None:
    line.proxy.fault(CutRequest(MIB // 4), "PATCH", nth=range(1, 11))
    assert line.push(content()).digest == Digest.of(LARGE)
    assert [length for _, length in line.sent()] == [*[MIB // 4] * 10, len(LARGE) - 10 * MIB // 4]


def test_what_is_never_taken_is_given_up_and_thrown_away(
    line: Line, plain_registry: Registry
) -> None:
    before = unfinished(plain_registry)
    line.proxy.fault(Answer(503), "PATCH")
    with pytest.raises(UnavailableError, match="503"):
        line.push(content())
    assert line.proxy.count("PATCH") == 5
    assert unfinished(plain_registry) == before
    assert line.client.blob(line.repository, Digest.of(LARGE)) is None


@pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("3600", 30.0)])
def test_a_registry_that_asks_to_wait_is_waited_for_within_reason(
    line: Line, asked: str, waited: float
) -> None:
    line.proxy.fault(too_many_requests(asked), "PATCH", nth=1)
    assert line.push(content()).digest == Digest.of(LARGE)
    assert line.waits == [waited]


def test_a_registry_that_only_asks_to_wait_is_left_alone_in_the_end(line: Line) -> None:
    line.proxy.fault(too_many_requests("1"), "PATCH")
    with pytest.raises(RateLimitedError):
        line.push(content())
    assert len(line.waits) == 4


def test_an_answer_that_is_lost_is_not_waited_for(line: Line) -> None:
    line.proxy.fault(Swallow(), "PUT", nth=1)
    assert line.push(content()).digest == Digest.of(LARGE)
    assert line.proxy.count("PUT") == 1
    assert line.proxy.heard("HEAD")[-1].status == 200


@pytest.mark.parametrize(
    ("method", "fault"),
    [
        *((method, fault) for method in ("POST", "PUT") for fault in (Swallow(), Answer(502))),
        ("PUT", Answer(404)),
        ("PUT", CutRequest(3)),
    ],
    ids=str,
)
def test_a_small_blob_is_sent_again_until_it_is_there(
    line: Line, method: str, fault: Fault
) -> None:
    whole = f"small, {method}, {fault}".encode()
    line.proxy.fault(fault, method, nth=1)
    assert line.push(Content.of(whole)) == Blob(Digest.of(whole), len(whole))
    assert line.read(Digest.of(whole)) == whole


def test_a_known_small_blob_takes_three_calls_and_then_one(line: Line) -> None:
    for _ in range(2):
        line.push(Content.of(b"known"))
    assert [r.method for r in line.proxy.requests] == ["HEAD", "POST", "PUT", "HEAD"]


def test_a_large_blob_goes_in_dockers_own_shape(line: Line) -> None:
    line.push(content())
    assert [r.method for r in line.proxy.requests] == ["POST", "PATCH", "PUT"]
    assert line.sent() == [(None, len(LARGE))]
    assert line.proxy.heard("PUT")[0].headers["content-length"] == "0"


def test_what_is_too_large_for_a_proxy_goes_in_parts(line: Line) -> None:
    line.proxy.fault(LargestBody(MIB), "PATCH")
    assert line.push(content()).digest == Digest.of(LARGE)
    ends = [*range(MIB, len(LARGE), MIB), len(LARGE)]
    starts = [0, *ends[:-1]]
    taken = [(said, length) for said, length in line.sent() if length]
    assert taken == [(f"{a}-{b - 1}", b - a) for a, b in zip(starts, ends, strict=True)]


def test_parts_are_not_smaller_than_the_registry_wants(line: Line) -> None:
    line.proxy.fault(ChangeHeaders({"OCI-Chunk-Min-Length": str(2 * MIB)}), "POST")
    refused = line.proxy.fault(LargestBody(2 * MIB), "PATCH", nth=1)
    assert line.push(content()).digest == Digest.of(LARGE)
    assert refused.fired == 1
    assert [length for _, length in line.sent() if length] == [2 * MIB, len(LARGE) - 2 * MIB]


def test_a_proxy_that_takes_less_than_the_registry_wants_is_named(line: Line) -> None:
    line.proxy.fault(ChangeHeaders({"OCI-Chunk-Min-Length": str(2 * MIB)}), "POST")
    line.proxy.fault(LargestBody(MIB), "PATCH")
    with pytest.raises(PermanentError, match="413: have the owner of the proxy"):
        line.push(content())


def test_a_registry_that_wants_ranges_is_given_them(line: Line) -> None:
    line.proxy.fault(Answer(416), "PATCH", nth=1)
    assert line.push(content()).digest == Digest.of(LARGE)
    assert [said for said, _ in line.sent()] == [None, f"0-{len(LARGE) - 1}"]


def test_where_nothing_ever_arrives_whole_it_goes_in_parts(line: Line) -> None:
    whole = LARGE * 11
    line.proxy.fault(CutRequest(0), "PATCH", nth=range(1, 3))
    assert line.push(content(whole, MIB)).digest == Digest.of(whole)
    assert line.sent()[2:] == [
        (f"0-{32 * MIB - 1}", 32 * MIB),
        (f"{32 * MIB}-{len(whole) - 1}", len(whole) - 32 * MIB),
    ]


def test_parts_that_a_registry_took_only_some_of_go_on_from_there(line: Line) -> None:
    line.proxy.fault(Answer(416), "PATCH", nth=1)
    line.proxy.fault(ChangeHeaders({"Range": f"0-{MIB - 1}"}), "PATCH", nth=2)
    assert line.push(content()).digest == Digest.of(LARGE)
    assert [said for said, _ in line.sent()][2:] == [f"{MIB}-{len(LARGE) - 1}"]


def test_a_registry_that_loses_what_comes_later_gets_everything_at_once(line: Line) -> None:
    """ECR keeps the first of several parts (aws/containers-roadmap#2831)."""
    line.proxy.fault(CutRequest(MIB), "PATCH", nth=1)
    line.proxy.fault(Answer(201), "PATCH", nth=2)
    blob = line.push(content())
    assert line.proxy.heard("PUT")[0].status == 400
    assert line.sent()[2:] == [(None, len(LARGE))]
    assert line.read(blob.digest) == LARGE


def test_a_registry_that_always_loses_bytes_is_named(line: Line) -> None:
    line.proxy.fault(Answer(201), "PATCH")
    with pytest.raises(CorruptedError, match=r"other bytes arrived: .*DIGEST_INVALID"):
        line.push(content())


def test_a_registry_that_says_another_digest_is_not_believed(line: Line) -> None:
    other = Digest.of(b"other").value
    line.proxy.fault(ChangeHeaders({"Docker-Content-Digest": other}), "PUT")
    with pytest.raises(CorruptedError, match=f"other bytes, '{other}'"):
        line.push(content())


def test_a_registry_that_names_no_place_for_an_upload_says_so(line: Line) -> None:
    line.proxy.fault(ChangeHeaders({"Location": None}), "POST")
    with pytest.raises(PermanentError, match="names no place"):
        line.push(content())


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_registry_that_refuses_bytes_is_not_asked_again(line: Line, method: str) -> None:
    body = b'{"errors": [{"code": "DENIED", "message": "over quota"}]}'
    line.proxy.fault(Answer(400, body=body), method)
    with pytest.raises(PermanentError, match="400: DENIED over quota"):
        line.push(content())
    assert line.proxy.count(method) == 1


def test_a_registry_that_begins_no_upload_is_waited_for(line: Line) -> None:
    line.proxy.fault(Answer(503), "POST", nth=range(1, 7))
    assert line.push(content()).digest == Digest.of(LARGE)


def test_a_registry_that_refuses_uploads_says_why(line: Line) -> None:
    body = b'{"errors": [{"code": "NAME_UNKNOWN", "message": "create it first"}]}'
    line.proxy.fault(Answer(404, body=body), "POST")
    with pytest.raises(PermanentError, match="404: NAME_UNKNOWN create it first"):
        line.push(content())


def test_an_upload_that_stays_at_its_place_goes_on_there(odd: Line) -> None:
    odd.proxy.fault(ChangeHeaders({"Location": None}), "PATCH")
    assert odd.push(content()).digest == Digest.of(LARGE)


def broken_by(error: BaseException, after: int) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        yield LARGE[:after]
        raise error

    return chunks


@pytest.mark.parametrize(
    "error",
    [
        Interrupted(Control(ControlKind.ABORT, "ada", "wrong model", datetime.now(UTC))),
        UnavailableError("read", "the artifact store", "start it"),
        OSError(5, "Input/output error"),
        ConnectionResetError("by the artifact store"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("after", [0, MIB, 2 * MIB])
def test_what_ends_the_reading_ends_the_upload_at_once(
    line: Line, error: Exception, after: int
) -> None:
    with pytest.raises(type(error)) as raised:
        line.push(Content(broken_by(error, after), len(LARGE)))
    assert raised.value is error
    assert line.waits == []
    assert line.proxy.count("PATCH") == 1
    assert line.proxy.count("DELETE")


def test_who_gives_up_does_not_wait_for_a_registry_that_is_away(line: Line) -> None:
    line.proxy.fault(Answer(503, {"Retry-After": "5"}), "DELETE")
    with pytest.raises(KeyboardInterrupt):
        line.push(Content(broken_by(KeyboardInterrupt(), 0), len(LARGE)))
    assert line.waits == []
    assert line.proxy.count("DELETE") == 1


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_an_upload_that_goes_on_at_no_url_is_refused(line: Line, method: str) -> None:
    line.proxy.fault(ChangeHeaders({"Location": "http://[secret"}), method)
    with pytest.raises(PermanentError, match="sends it on to what is no URL") as caught:
        line.push(content())
    assert "secret" not in str(caught.value)


def test_content_that_is_not_what_it_says_is_never_declared_whole(line: Line) -> None:
    for size, told in ((len(LARGE) - 1, "more than"), (len(LARGE) + 1, f"{len(LARGE)} of")):
        with pytest.raises(CorruptedError, match=told):
            line.push(Content(content().chunks, size))
    with pytest.raises(CorruptedError, match="more than"):
        line.push(Content(lambda: [LARGE, b"", b"more"], len(LARGE)))
    with pytest.raises(CorruptedError, match="its bytes are others"):
        line.push(Content(content().chunks, len(LARGE), Digest.of(b"other")))
    assert line.proxy.count("PUT") == 0
    assert line.proxy.count("DELETE") >= 4


def test_content_that_changed_between_two_readings_is_refused(line: Line) -> None:
    readings = iter([LARGE, b"x" + LARGE[1:]])
    line.proxy.fault(CutRequest(2 * MIB), "PATCH", nth=1)
    changing = Content(lambda: in_chunks(next(readings), 77_777), len(LARGE))
    with pytest.raises(CorruptedError, match="changed while it was read"):
        line.push(changing)
    assert line.proxy.count("PUT") == 0


def test_a_registry_that_takes_a_byte_at_a_time_is_given_up(line: Line) -> None:
    line.proxy.fault(Answer(413), "PATCH", nth=1)
    for nth in range(100):
        line.proxy.fault(Answer(202, {"Range": f"0-{nth + 1}"}), "PATCH", nth=nth + 2)
    line.proxy.fault(ChangeHeaders({"Range": None}), "GET", UPLOADS)
    with pytest.raises(UnavailableError, match=r"took \d+ of \d+ bytes"):
        line.push(content())
    assert line.proxy.count("PATCH") < 10


def test_a_registry_that_has_more_than_was_sent_is_begun_with_again(line: Line) -> None:
    line.proxy.fault(CutRequest(MIB), "PATCH", nth=1)
    line.proxy.fault(ChangeHeaders({"Range": f"0-{len(LARGE) - 1}"}), "GET", nth=1)
    assert line.push(content()).digest == Digest.of(LARGE)
    assert line.sent()[1:] == [(None, len(LARGE))]
