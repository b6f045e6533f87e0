"""Files by link from an MLflow that misbehaves, or whose store does."""

from collections.abc import Iterator

import pytest

from pipeline.adapters.mlflow_artifacts import MlflowArtifacts
from pipeline.adapters.mlflow_rest import Credentials, MlflowRest
from pipeline.adapters.presigned_link import Link
from pipeline.domain.evidence import StoredFile
from pipeline.errors import (
    CorruptedError,
    ForbiddenError,
    NotFoundError,
    PermanentError,
    RateLimitedError,
    StepError,
    UnavailableError,
)
from tests.servers.link_maker import SIGNATURE, LinkMaker, running_link_maker

ROOT = "mlflow-artifacts:/0/models/m-1/artifacts"
PART = 1 << 12
CONTENT = bytes(range(256)) * 512  # 32 parts
FILE = StoredFile("model.pkl", len(CONTENT))
SMALL = StoredFile("MLmodel", 10)
ALONE = {"multipart_downloads_enabled": True, "artifacts_presigned_only": True}


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.adapters.ranged.PART", PART)
    monkeypatch.setattr("pipeline.adapters.presigned_artifacts.PART", PART)
    monkeypatch.setattr("pipeline.adapters.ranged._WAITS", (0.0,))


@pytest.fixture
def maker() -> Iterator[LinkMaker]:
    with running_link_maker(CONTENT) as maker:
        yield maker


@pytest.fixture
def store(maker: LinkMaker) -> Iterator[MlflowArtifacts]:
    rest = MlflowRest(maker.url, Credentials.basic("ada", "secret"))
    store = MlflowArtifacts(rest)
    yield store
    store.close()
    rest.close()


def fails(store: MlflowArtifacts, error: type[StepError], says: str) -> None:
    """Read the file, and expect an error that gives nothing away."""
    with pytest.raises(error, match=says) as caught:
        list(store.read(ROOT, FILE))
    assert SIGNATURE not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_large_file_comes_by_link_and_in_parts(store: MlflowArtifacts, maker: LinkMaker) -> None:
    assert b"".join(store.read(ROOT, FILE)) == CONTENT
    assert (maker.made, maker.proxied, len(maker.heard)) == (1, 0, 32)


def test_mlflows_credentials_never_go_where_a_link_leads(
    store: MlflowArtifacts, maker: LinkMaker
) -> None:
    list(store.read(ROOT, FILE))
    assert all("Authorization" not in headers for headers in maker.heard)
    assert all(headers["X-Of-The-Link"] == "yes" for headers in maker.heard)


def test_an_expired_link_is_asked_for_again_and_by_one_part_alone(
    store: MlflowArtifacts, maker: LinkMaker
) -> None:
    stream = store.read(ROOT, FILE)
    read = [next(stream)]
    maker.expired = 1
    read += stream
    assert b"".join(read) == CONTENT
    assert maker.made == 2


def test_a_small_file_is_not_worth_a_link(store: MlflowArtifacts, maker: LinkMaker) -> None:
    maker.content = b"flavors: x"
    assert b"".join(store.read(ROOT, SMALL)) == maker.content
    assert (maker.made, maker.proxied) == (0, 1)


def test_a_server_that_sends_nothing_itself_is_asked_for_links_to_small_files(
    store: MlflowArtifacts, maker: LinkMaker
) -> None:
    maker.info, maker.content = ALONE, b"flavors: x"
    assert b"".join(store.read(ROOT, SMALL)) == maker.content
    assert (maker.made, maker.proxied) == (1, 0)


@pytest.mark.parametrize("info", [{}, {"multipart_downloads_enabled": False}])
def test_a_server_without_links_is_read_through_its_proxy(
    store: MlflowArtifacts, maker: LinkMaker, info: dict[str, bool]
) -> None:
    maker.info = info
    assert b"".join(store.read(ROOT, FILE)) == CONTENT
    assert (maker.made, maker.proxied) == (0, 1)


def test_a_proxy_that_only_fails_is_unavailable_and_not_a_file_that_is_gone(
    store: MlflowArtifacts, maker: LinkMaker
) -> None:
    maker.info, maker.broken = {}, True
    fails(store, UnavailableError, "it answers 500")
    assert maker.proxied == 2


def test_what_the_server_can_do_is_not_asked_for_every_file(
    store: MlflowArtifacts, maker: LinkMaker
) -> None:
    for _ in range(2):
        list(store.read(ROOT, FILE))
    maker.info = {}
    list(store.read(ROOT, FILE))
    assert maker.proxied == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/blob?signature=x", "ftp://host/x", "", None])
def test_a_link_that_leads_nowhere_is_left_alone_for_a_while(
    store: MlflowArtifacts, maker: LinkMaker, url: str | None
) -> None:
    maker.link = {"url": url}
    for _ in range(2):
        assert b"".join(store.read(ROOT, FILE)) == CONTENT
    assert (maker.made, maker.proxied) == (1, 2)


def test_headers_that_are_none_make_no_link(store: MlflowArtifacts, maker: LinkMaker) -> None:
    maker.info, maker.link = ALONE, {"headers": {"X": 1}}
    fails(store, PermanentError, "no http")


def test_a_link_that_leads_nowhere_is_told_where_there_is_no_other_way(
    store: MlflowArtifacts, maker: LinkMaker
) -> None:
    maker.info, maker.link = ALONE, {"url": f"http://127.0.0.1:9/blob?signature={SIGNATURE}"}
    fails(store, UnavailableError, "the store behind MLflow")


def test_a_store_without_ranges_is_read_through_the_proxy(
    store: MlflowArtifacts, maker: LinkMaker
) -> None:
    maker.ranges = False
    assert b"".join(store.read(ROOT, FILE)) == CONTENT
    assert maker.proxied == 1


@pytest.mark.parametrize(
    ("status", "error", "says"),
    [
        (302, PermanentError, "redirects"),
        (400, ForbiddenError, "just made"),
        (403, ForbiddenError, "just made"),
        (404, NotFoundError, "deleted"),
        (412, CorruptedError, "changed while it was read"),
        (416, CorruptedError, "changed while it was read"),
        (429, RateLimitedError, "429"),
        (500, UnavailableError, "500"),
        (503, RateLimitedError, "503"),
    ],
)
def test_what_the_store_answers_becomes_an_error_without_the_link(
    store: MlflowArtifacts, maker: LinkMaker, status: int, error: type[StepError], says: str
) -> None:
    maker.info, maker.status = ALONE, status
    fails(store, error, says)


@pytest.mark.parametrize("status", [404, 412])
def test_a_file_that_is_gone_or_another_is_not_looked_for_elsewhere(
    store: MlflowArtifacts, maker: LinkMaker, status: int
) -> None:
    maker.status = status
    fails(store, StepError, "model.pkl")
    assert maker.proxied == 0


def test_a_file_that_changes_while_it_is_read_by_link_is_noticed(
    store: MlflowArtifacts, maker: LinkMaker
) -> None:
    stream = store.read(ROOT, FILE)
    next(stream)
    maker.etag = '"2"'
    with pytest.raises(CorruptedError, match="changed while it was read"):
        list(stream)


def test_a_weak_version_is_asked_for_by_nobody(store: MlflowArtifacts, maker: LinkMaker) -> None:
    maker.etag = 'W/"1"'
    assert b"".join(store.read(ROOT, FILE)) == CONTENT
    assert all("If-Match" not in headers for headers in maker.heard)


@pytest.mark.parametrize("told", [len(CONTENT) - 1, len(CONTENT) + 1])
def test_another_size_in_the_link_than_in_the_listing_is_noticed(
    store: MlflowArtifacts, maker: LinkMaker, told: int
) -> None:
    maker.link = {"file_size": told}
    fails(store, CorruptedError, "its length is not")


def test_links_are_printed_without_their_secret(maker: LinkMaker) -> None:
    assert SIGNATURE not in repr(Link.parse(maker.made_link(), "model.pkl"))


@pytest.mark.parametrize(
    "link",
    [
        {"headers": {"X-Key": f"{SIGNATURE}\r\nHost: elsewhere"}},
        {"headers": {f"X-Key: {SIGNATURE}\r\nHost": "elsewhere"}},
        {"headers": {"X-Key": f"{SIGNATURE}\u2026"}},
        {"headers": [SIGNATURE]},
        {"url": f"http://127.0.0.1/ {SIGNATURE}"},
        {"url": f"http://127.0.0.1/\u2026{SIGNATURE}"},
    ],
    ids=["a line", "a name of lines", "no latin", "a list", "a space in a URL", "a URL of others"],
)
def test_a_link_that_cannot_be_sent_is_refused_and_not_repeated(
    store: MlflowArtifacts, maker: LinkMaker, link: dict[str, object]
) -> None:
    maker.info, maker.link = ALONE, link
    fails(store, PermanentError, "no http")
