"""What a registry may answer, and what becomes of it: never more than was asked for."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.domain.content import Content
from pipeline.domain.oci import IMAGE_INDEX, IMAGE_MANIFEST, SIGSTORE_BUNDLE, Descriptor
from pipeline.domain.references import Digest
from pipeline.errors import (
    ConflictError,
    CorruptedError,
    InvalidReferenceError,
    NotFoundError,
    PermanentError,
    UnavailableError,
)
from pipeline.image.canonical import LIMIT
from pipeline.image.manifest import EMPTY, EMPTY_CONFIG, Manifest
from pipeline.image.referrers import fallback_tag, referrer_manifest
from pipeline.settings.load import load_settings
from pipeline.wiring import open_images
from tests.servers.faults import (
    Answer,
    ChangeHeaders,
    CutResponse,
    Endless,
    Fault,
    OtherBytes,
    Swallow,
)
from tests.servers.registries import Registry
from tests.servers.registry_line import Line, line_to

pytestmark = pytest.mark.xdist_group("registries")

MIB = 1 << 20
LARGE = random.Random(5).randbytes(3 * MIB + 77)  # noqa: S311 - any bytes will do, the same each time
IMAGE = Manifest(EMPTY, (), {"kind": "image"}).to_bytes()
SUBJECT = Descriptor(IMAGE_MANIFEST, Digest.of(IMAGE), len(IMAGE))
BLOB = "GET", "/blobs/sha256:"
ANSWERS_JSON = {"Content-Type": "application/json"}
ANSWERS_INDEX = {"Content-Type": IMAGE_INDEX}


@pytest.fixture
def line(plain_registry: Registry, tmp_path: Path) -> Iterator[Line]:
    with line_to(plain_registry, tmp_path) as line:
        yield line


@pytest.fixture
def complete(ociserver: Registry, tmp_path: Path) -> Iterator[Line]:
    with line_to(ociserver, tmp_path) as line:
        yield line


@pytest.fixture
def odd(odd_registry: Registry, tmp_path: Path) -> Iterator[Line]:
    with line_to(odd_registry, tmp_path) as line:
        yield line


@pytest.fixture(scope="module", params=["plain_registry", "ociserver", "odd_registry"])
def long_line(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    registry: Registry = request.getfixturevalue(request.param)
    with line_to(registry, tmp_path_factory.mktemp("client")) as line:
        line.push(Content.of(LARGE))
        yield line


def push_image(line: Line, tag: str | None = None) -> Digest:
    line.push(Content.of(EMPTY_CONFIG))
    return line.client.push_manifest(line.repository, IMAGE, IMAGE_MANIFEST, tag=tag)


def about(line: Line, name: str) -> bytes:
    """Make a referrer of the image, whose bundle is there."""
    blob = line.push(Content.of(name.encode()))
    bundle = Descriptor(SIGSTORE_BUNDLE, blob.digest, blob.size)
    return referrer_manifest(SUBJECT, bundle, {"name": name}).to_bytes()


def attach(line: Line, name: str) -> Digest:
    return line.client.push_manifest(line.repository, about(line, name), IMAGE_MANIFEST)


def listed(line: Line) -> set[str]:
    found = line.client.referrers(line.repository, SUBJECT.digest)
    return {each.annotations["name"] for each in found}


CUTS = st.builds(CutResponse, after=st.integers(0, len(LARGE)), reset=st.booleans())


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.one_of(CUTS, st.just(Answer(503)), st.just(Swallow())), max_size=4))
def test_a_download_that_breaks_at_any_byte_ends_in_the_same_bytes(
    long_line: Line, cuts: list[Fault]
) -> None:
    long_line.proxy.heal()
    for number, cut in enumerate(cuts, 1):
        long_line.proxy.fault(cut, *BLOB, nth=number)
    assert long_line.read(Digest.of(LARGE)) == LARGE


def test_what_has_been_read_is_not_asked_for_again(line: Line) -> None:
    digest = line.push(Content.of(LARGE)).digest
    line.proxy.fault(CutResponse(MIB), *BLOB, nth=1)
    assert line.read(digest) == LARGE
    first, second = line.proxy.heard(*BLOB)
    assert "range" not in first.headers
    start = int(second.headers["range"].removeprefix("bytes=").partition("-")[0])
    assert 0 < start <= MIB
    assert second.status == 206


def test_a_registry_that_knows_no_ranges_is_read_from_the_start_again(line: Line) -> None:
    digest = line.push(Content.of(LARGE)).digest
    line.proxy.fault(CutResponse(2 * MIB), *BLOB, nth=1)
    line.proxy.fault(Answer(200, body=LARGE), *BLOB, nth=2)
    assert line.read(digest) == LARGE


def test_a_part_that_was_not_asked_for_is_refused(line: Line) -> None:
    digest = line.push(Content.of(LARGE)).digest
    line.proxy.fault(CutResponse(MIB), *BLOB, nth=1)
    part = {"Content-Range": f"bytes {3 * MIB}-{len(LARGE) - 1}/{len(LARGE)}"}
    line.proxy.fault(Answer(206, part, LARGE[3 * MIB :]), *BLOB, nth=2)
    with pytest.raises(CorruptedError, match="a part that was not asked for"):
        line.read(digest)


def test_a_part_that_is_too_short_is_gone_on_from(line: Line) -> None:
    digest = line.push(Content.of(LARGE)).digest
    line.proxy.fault(Answer(200, body=LARGE[:MIB]), *BLOB, nth=2)
    line.proxy.fault(CutResponse(2 * MIB), *BLOB, nth=1)
    part = {"Content-Range": f"bytes 0-{MIB - 1}/{len(LARGE)}"}
    line.proxy.fault(Answer(206, part, LARGE[:MIB]), *BLOB, nth=3)
    assert line.read(digest) == LARGE
    assert line.proxy.count(*BLOB) == 4


def test_a_download_that_gets_nowhere_is_given_up(line: Line) -> None:
    digest = line.push(Content.of(LARGE)).digest
    line.proxy.fault(CutResponse(0, reset=False), *BLOB)
    with pytest.raises(UnavailableError):
        line.read(digest)


def test_other_bytes_are_told_at_the_end(line: Line) -> None:
    digest = line.push(Content.of(LARGE)).digest
    line.proxy.fault(OtherBytes(), *BLOB)
    with pytest.raises(CorruptedError, match="answers with other bytes"):
        line.read(digest)


@pytest.mark.parametrize(
    ("announced", "told"),
    [({}, "more than the 7 bytes"), ({"Content-Length": "7"}, "answers with other bytes")],
    ids=["nothing announced", "seven announced"],
)
def test_an_endless_blob_ends_where_it_should(
    line: Line, announced: dict[str, str], told: str
) -> None:
    digest = line.push(Content.of(b"seven b")).digest
    line.proxy.fault(Endless(announced), *BLOB)
    read: list[bytes] = []
    with pytest.raises(CorruptedError, match=told):
        read.extend(line.client.read_blob(line.repository, digest))
    assert len(b"".join(read)) <= 7


def test_whoever_has_enough_of_a_blob_may_leave(line: Line) -> None:
    line.proxy.fault(Endless({"Content-Length": str(1 << 50)}), *BLOB)
    for number, chunk in enumerate(line.client.read_blob(line.repository, Digest.of(LARGE))):
        assert len(chunk) <= MIB
        if number == 3:
            break
    line.proxy.heal()
    assert line.client.blob(line.repository, Digest.of(LARGE)) is None


def test_a_blob_that_is_not_there_is_named(line: Line) -> None:
    digest = Digest.of(b"nobody pushed this")
    with pytest.raises(NotFoundError, match=f"{line.repository}@{digest}"):
        line.read(digest)


def test_a_registry_without_head_is_asked_by_get(line: Line) -> None:
    blob = line.push(Content.of(LARGE))
    line.proxy.fault(Answer(405), "HEAD")
    assert line.client.blob(line.repository, blob.digest) == blob
    assert line.client.blob(line.repository, Digest.of(b"?")) is None


@pytest.mark.parametrize("length", [None, "many", "-1", "9" * 30])
def test_a_blob_of_which_nobody_says_how_long_it_is_is_refused(
    line: Line, length: str | None
) -> None:
    line.proxy.fault(Answer(405), "HEAD")
    line.proxy.fault(Endless({}), "GET") if length is None else line.proxy.fault(
        ChangeHeaders({"Content-Length": length}), "GET"
    )
    with pytest.raises((PermanentError, UnavailableError)):
        line.client.blob(line.repository, line.push(Content.of(b"content")).digest)


def test_what_a_registry_refuses_it_explains(line: Line) -> None:
    body = b'{"errors": [{"code": "BLOB_SECRET", "message": "not\\nfor you"}]}'
    line.proxy.fault(Answer(400, body=body), "GET|HEAD|PUT|DELETE")
    digest = Digest.of(b"content")
    for attempt in (
        lambda: line.read(digest),
        lambda: line.manifest("one"),
        lambda: line.client.tags(line.repository),
        lambda: line.client.push_manifest(line.repository, IMAGE, IMAGE_MANIFEST),
    ):
        with pytest.raises(PermanentError, match="400: BLOB_SECRET not for you"):
            attempt()
    with pytest.raises(PermanentError, match="answers 400"):
        line.client.blob(line.repository, digest)


def test_the_same_version_again_is_one_request(line: Line) -> None:
    push_image(line, "one")
    line.proxy.requests.clear()
    assert line.manifest("one") == IMAGE
    assert [(r.method, r.status) for r in line.proxy.requests] == [("GET", 200)]


def test_a_tagged_manifest_is_one_request(line: Line) -> None:
    line.push(Content.of(EMPTY_CONFIG))
    line.proxy.requests.clear()
    line.client.push_manifest(line.repository, IMAGE, IMAGE_MANIFEST, tag="one")
    assert [(r.method, r.status) for r in line.proxy.requests] == [("PUT", 201)]


def test_other_manifests_than_those_asked_for_are_refused(line: Line) -> None:
    push_image(line, "one")
    line.proxy.fault(OtherBytes(), "GET", "/manifests/")
    for reference in ("one", SUBJECT.digest.value):
        with pytest.raises(CorruptedError, match="answers with other bytes"):
            line.manifest(reference)


def test_a_lie_about_its_own_digest_does_not_help_a_registry(line: Line) -> None:
    digest = push_image(line, "one")
    lies = Manifest(EMPTY, (), {"kind": "lies"}).to_bytes()
    said = {"Docker-Content-Digest": Digest.of(lies).value}
    line.proxy.fault(Answer(200, said, lies), "GET", "/manifests/")
    with pytest.raises(CorruptedError, match="its store is damaged, or it lies"):
        line.manifest(digest.value)


@pytest.mark.parametrize("said", ["sha512:" + "0" * 128, None])
def test_a_tags_manifest_is_taken_where_the_registry_names_no_digest(
    line: Line, said: str | None
) -> None:
    push_image(line, "one")
    line.proxy.fault(ChangeHeaders({"Docker-Content-Digest": said}), "GET", "/manifests/")
    assert line.manifest("one") == IMAGE


def test_a_digest_that_is_none_is_another_one(line: Line) -> None:
    push_image(line, "one")
    line.proxy.fault(ChangeHeaders({"Docker-Content-Digest": "sha256:no"}), "GET", "/manifests/")
    with pytest.raises(CorruptedError, match="'sha256:no'"):
        line.manifest("one")


@pytest.mark.parametrize("announced", [{}, {"Content-Length": str(LIMIT + 1)}], ids=str)
def test_a_manifest_over_4_mib_is_refused(line: Line, announced: dict[str, str]) -> None:
    line.proxy.fault(Endless(announced), "GET", "/manifests/")
    with pytest.raises(CorruptedError, match="more than 4 MiB"):
        line.manifest("one")


def test_a_manifest_of_4_mib_is_read(line: Line) -> None:
    body = b"x" * LIMIT
    line.proxy.fault(Answer(200, {}, body), "GET", "/manifests/")
    assert line.manifest("one") == body


@pytest.mark.parametrize("fault", [CutResponse(10), CutResponse(10, reset=False), Answer(502)])
def test_a_manifest_that_breaks_off_is_read_again(line: Line, fault: Fault) -> None:
    push_image(line, "one")
    line.proxy.fault(fault, "GET", "/manifests/", nth=1)
    assert line.manifest("one") == IMAGE


@pytest.mark.parametrize("fault", [Swallow(), Answer(502)], ids=str)
def test_a_manifest_whose_push_was_not_answered_is_pushed_again(line: Line, fault: Fault) -> None:
    line.proxy.fault(fault, "PUT", "/manifests/", nth=1)
    push_image(line, "one")
    assert line.manifest("one") == IMAGE
    assert line.waits


def test_a_registry_that_stored_other_bytes_is_named(line: Line) -> None:
    other = Digest.of(b"other").value
    line.proxy.fault(ChangeHeaders({"Docker-Content-Digest": other}), "PUT", "/manifests/")
    with pytest.raises(CorruptedError, match=f"other bytes, '{other}'"):
        push_image(line)


def test_tags_are_read_page_by_page_and_only_here(line: Line) -> None:
    def page(tags: object, link: str) -> Answer:
        return Answer(200, {**ANSWERS_JSON, "Link": link}, json.dumps({"tags": tags}).encode())

    there = "http://other.example.com:1/v2/x/tags/list?last=b&n=2"
    line.proxy.fault(page(["b", "a"], f'<{there}>; rel="next"'), "GET", "/tags/", nth=1)
    line.proxy.fault(page(["c", 7, "no tag"], "<?last=c>;rel=next"), "GET", "/tags/", nth=2)
    line.proxy.fault(page(None, '</v2/>; rel="prev"'), "GET", "/tags/", nth=3)
    assert line.client.tags(line.repository) == ("a", "b", "c")
    assert [r.path for r in line.proxy.requests] == [
        f"/v2/{line.path}/tags/list",
        "/v2/x/tags/list?last=b&n=2",
        "/v2/x/tags/list?last=c",
    ]


def test_a_list_that_leads_in_a_circle_is_left(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.distribution.listing._MOST_PAGES", 20)
    circle = {**ANSWERS_JSON, "Link": '</v2/x/tags/list>; rel="next"'}
    line.proxy.fault(Answer(200, circle, b'{"tags": ["a"]}'), "GET", "/tags/")
    with pytest.raises(CorruptedError, match="more than 20 pages"):
        line.client.tags(line.repository)
    assert line.proxy.count("GET") == 20


def test_a_registry_that_gives_a_byte_at_a_time_is_given_up(line: Line) -> None:
    digest = line.push(Content.of(LARGE)).digest
    line.proxy.fault(CutResponse(1, reset=False), *BLOB)
    with pytest.raises(UnavailableError):
        line.read(digest)
    assert line.proxy.count(*BLOB) < 10


def test_a_list_that_goes_on_at_no_url_is_refused(line: Line) -> None:
    nowhere = {**ANSWERS_JSON, "Link": '<http://[secret>; rel="next"'}
    line.proxy.fault(Answer(200, nowhere, b'{"tags": ["v1"]}'), "GET", "/tags/")
    with pytest.raises(CorruptedError, match="goes on at what is no URL") as caught:
        line.client.tags(line.repository)
    assert "secret" not in str(caught.value)


def test_real_registries_page_their_tags(complete: Line) -> None:
    for number in range(7):
        push_image(complete, f"v{number}")
    first = Answer(
        200,
        {**ANSWERS_JSON, "Link": f'</v2/{complete.path}/tags/list?n=2&last=v1>; rel="next"'},
        b'{"tags": ["v0", "v1"]}',
    )
    complete.proxy.fault(first, "GET", "/tags/", nth=1)
    assert complete.client.tags(complete.repository) == tuple(f"v{n}" for n in range(7))
    assert complete.proxy.count("GET", "/tags/") == 4


def test_referrers_are_read_page_by_page_and_a_bad_one_hides_no_other(complete: Line) -> None:
    push_image(complete)
    good = {"mediaType": IMAGE_MANIFEST, "digest": SUBJECT.digest.value, "size": 1}
    bad = [{**good, "digest": "sha256:no"}, {**good, "size": "1"}, {}, 7, None]
    index = json.dumps({"manifests": [*bad, {**good, "annotations": {"name": "good"}}]}).encode()
    link = f'</v2/{complete.path}/referrers/{SUBJECT.digest}?page=2>; rel="next"'
    complete.proxy.fault(
        Answer(200, {**ANSWERS_INDEX, "Link": link}, index), "GET", "/referrers/", nth=range(1, 2)
    )
    attach(complete, "ours")
    complete.proxy.heal()
    complete.proxy.fault(
        Answer(200, {**ANSWERS_INDEX, "Link": link}, index), "GET", "/referrers/", nth=1
    )
    assert listed(complete) == {"good", "ours"}


def test_referrers_beyond_a_thousand_are_left_out(line: Line) -> None:
    entries = [
        {"mediaType": IMAGE_MANIFEST, "digest": Digest.of(str(n).encode()).value, "size": 1}
        for n in range(600)
    ]
    link = '</v2/x/referrers/more>; rel="next"'
    page = Answer(200, {**ANSWERS_INDEX, "Link": link}, json.dumps({"manifests": entries}).encode())
    line.proxy.fault(page, "GET", "/referrers/")
    assert len(line.client.referrers(line.repository, SUBJECT.digest)) == 1000
    assert line.proxy.count("GET") == 2


def test_a_referrers_list_that_is_none_is_told(line: Line) -> None:
    for body in (b"{", b'{"manifests": {}}', b"{}", b"[]"):
        line.proxy.heal()
        line.proxy.fault(Answer(200, ANSWERS_INDEX, body), "GET", "/referrers/")
        with pytest.raises(CorruptedError, match="a list of referrers"):
            line.client.referrers(line.repository, SUBJECT.digest)


def test_a_web_page_is_no_list_of_referrers(line: Line) -> None:
    push_image(line)
    line.proxy.fault(Answer(200, {"Content-Type": "text/html"}, b"<html>"), "GET", "/referrers/")
    attach(line, "one")
    assert listed(line) == {"one"}
    assert line.client.tags(line.repository) == (fallback_tag(SUBJECT.digest),)


@pytest.mark.parametrize("kind", ["complete", "odd"])
def test_where_the_registry_lists_referrers_no_tag_is_made(
    request: pytest.FixtureRequest, kind: str
) -> None:
    line: Line = request.getfixturevalue(kind)
    push_image(line)
    attach(line, "one")
    assert listed(line) == {"one"}
    assert line.client.tags(line.repository) == ()


def test_what_others_wrote_into_the_list_stays_as_it_is(line: Line) -> None:
    push_image(line)
    attach(line, "ours")
    tag = fallback_tag(SUBJECT.digest)
    index = json.loads(line.manifest(tag) or b"")
    index["annotations"] = {"by": "another tool"}
    index["manifests"][0] |= {"platform": {"os": "linux", "architecture": "s390x"}, "data": "eA=="}
    line.client.push_manifest(line.repository, json.dumps(index).encode(), IMAGE_INDEX, tag=tag)
    attach(line, "newer")
    after = json.loads(line.manifest(tag) or b"")
    assert after["annotations"] == index["annotations"]
    assert after["manifests"][0] == index["manifests"][0]
    assert listed(line) == {"ours", "newer"}


def test_what_was_deleted_by_others_does_not_keep_anything_from_being_attached(line: Line) -> None:
    push_image(line)
    attach(line, "kept")
    gone = attach(line, "gone")
    tag = fallback_tag(SUBJECT.digest)
    index = line.manifest(tag) or b""
    line.client.delete(line.repository, gone)
    line.proxy.fault(Answer(200, ANSWERS_INDEX, index), "GET", f"/manifests/{tag}", nth=1)
    attach(line, "ours")
    assert listed(line) == {"kept", "ours"}


def test_a_list_that_the_registry_refuses_is_told(line: Line) -> None:
    push_image(line)
    line.proxy.fault(Answer(400), "PUT", f"/manifests/{fallback_tag(SUBJECT.digest)}")
    with pytest.raises(PermanentError, match="answers 400"):
        attach(line, "ours")


def test_a_writer_that_was_overwritten_writes_again(line: Line) -> None:
    push_image(line)
    lost = line.proxy.fault(Answer(201), "PUT", f"/manifests/{fallback_tag(SUBJECT.digest)}", nth=1)
    attach(line, "ours")
    assert lost.fired == 1
    assert listed(line) == {"ours"}


def test_a_writer_that_is_always_overwritten_says_so(line: Line) -> None:
    push_image(line)
    line.proxy.fault(Answer(201), "PUT", f"/manifests/{fallback_tag(SUBJECT.digest)}")
    with pytest.raises(ConflictError, match="other writers"):
        attach(line, "ours")


def test_several_threads_attach_and_nothing_is_lost(line: Line) -> None:
    push_image(line)
    names = {f"statement {number}" for number in range(12)}
    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(lambda name: attach(line, name), sorted(names)))) == 12
    assert listed(line) == names


def test_something_else_under_the_lists_tag_is_not_overwritten(line: Line) -> None:
    push_image(line, fallback_tag(SUBJECT.digest))
    with pytest.raises(CorruptedError, match="a list of referrers"):
        attach(line, "ours")
    assert line.manifest(fallback_tag(SUBJECT.digest)) == IMAGE


def test_a_deleted_image_is_no_referrer_and_an_index_neither(line: Line) -> None:
    push_image(line)
    index = line.client.push_manifest(
        line.repository, b'{"schemaVersion":2,"manifests":[]}', IMAGE_INDEX, tag="index"
    )
    line.client.delete(line.repository, index)
    line.client.delete(line.repository, Digest.of(b"nobody pushed this"))
    assert line.manifest("index") is None
    assert line.manifest(SUBJECT.digest.value) == IMAGE


def test_a_registry_that_does_not_delete_says_so(line: Line) -> None:
    push_image(line)
    body = b'{"errors": [{"code": "UNSUPPORTED", "message": "switched off"}]}'
    line.proxy.fault(Answer(405, body=body), "DELETE")
    with pytest.raises(PermanentError, match=r"does not delete: .*UNSUPPORTED switched off"):
        line.client.delete(line.repository, SUBJECT.digest)


def test_tags_that_lead_nowhere_any_more_are_removed_with_what_they_named(odd: Line) -> None:
    push_image(odd, "one")
    push_image(odd, "two")
    odd.proxy.fault(Answer(404), "GET", "/manifests/one")
    odd.client.delete(odd.repository, SUBJECT.digest)
    assert odd.proxy.count("DELETE", "/manifests/(one|two)") == 2
    assert odd.client.tags(odd.repository) == ()


def test_a_deletion_that_is_refused_is_told(line: Line) -> None:
    push_image(line)
    line.proxy.fault(Answer(409), "DELETE")
    with pytest.raises(PermanentError, match="answers 409"):
        line.client.delete(line.repository, SUBJECT.digest)


def test_a_registry_that_removes_tags_by_itself_is_asked_once_whether_it_does(line: Line) -> None:
    newer = Manifest(EMPTY, (), {"kind": "newer"}).to_bytes()
    push_image(line, "one")
    line.client.push_manifest(line.repository, newer, IMAGE_MANIFEST, tag="two")
    line.client.delete(line.repository, SUBJECT.digest)
    lists = line.proxy.count("GET", "/tags/")
    line.client.delete(line.repository, Digest.of(newer))
    assert line.proxy.count("GET", "/tags/") == lists == 2
    assert line.proxy.count("HEAD", "/manifests/") == 0
    assert line.client.tags(line.repository) == ()


def test_a_blob_of_another_registry_is_not_taken_over(line: Line) -> None:
    digest = line.push(Content.of(b"content")).digest
    assert line.client.mount(line.repository, digest, "other.example.com/ml/fraud") is None
    assert line.proxy.count("POST", "mount=") == 0


def test_a_source_that_may_not_be_read_is_not_taken_over_from(line: Line) -> None:
    line.proxy.fault(Answer(403), "POST", "mount=")
    digest = line.push(Content.of(b"content")).digest
    assert line.client.mount(f"{line.repository}/other", digest, line.repository) is None


def test_an_upload_that_a_registry_began_instead_is_cancelled(line: Line) -> None:
    digest = Digest.of(b"nobody pushed this")
    assert line.client.mount(f"{line.repository}/other", digest, line.repository) is None
    assert [(r.method, r.status) for r in line.proxy.requests] == [("POST", 202), ("DELETE", 204)]


@pytest.mark.parametrize("name", ["ml/fraud", "registry.example.com", "registry.example.com/A"])
def test_a_name_without_a_registry_is_refused(line: Line, name: str) -> None:
    with pytest.raises(InvalidReferenceError):
        line.client.blob(name, SUBJECT.digest)


def test_settings_lead_to_a_registry_behind_a_private_authority(
    tls_registry: Registry, tmp_path: Path
) -> None:
    path = tmp_path / "laurel.yaml"
    path.write_text(
        f"registry: {{location: {tls_registry.host}/ml, ca_file: '{tls_registry.ca_file}'}}"
    )
    found = load_settings(path, {})
    repository = found.registry.repository("settings")
    images = open_images(found)
    blob = images.push_blob(repository, Content.of(b"content"))
    assert images.blob(f"{tls_registry.host}/ml/settings", blob.digest) == blob
