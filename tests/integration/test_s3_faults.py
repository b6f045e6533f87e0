"""Models in S3 on a bad day: the store's, the network's, or that of who set it up."""

import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.adapters.s3_artifacts import S3Artifacts
from pipeline.domain.evidence import Refused, StoredFile
from pipeline.errors import (
    ConfigurationError,
    CorruptedError,
    ForbiddenError,
    LaurelError,
    NotFoundError,
    PermanentError,
    RateLimitedError,
    UnavailableError,
)
from tests.servers import object_storage
from tests.servers.certificates import private_certificate
from tests.servers.object_storage import BUCKET, SECRET, ObjectStorage, running_object_storage
from tests.servers.scripted import Scripted, scripted_server
from tests.servers.unreliable import Unreliable, unreliable

pytestmark = pytest.mark.xdist_group("s3")

PART = 1 << 14
CONTENT = os.urandom(20 * PART + 5)
FILE = StoredFile("weights", len(CONTENT))
ROOT = f"s3://{BUCKET}/model"
END = "<IsTruncated>false</IsTruncated></ListBucketResult>"
EMPTY = f"<ListBucketResult>{END}".encode()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    with running_object_storage(tmp_path_factory.mktemp("s3")) as storage:
        storage.s3.put_object(Bucket=BUCKET, Key="model/weights", Body=CONTENT)
        yield storage


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Take this machine's settings away, hurry, and lend what sets variables."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr("pipeline.adapters.ranged.PART", PART)
    monkeypatch.setattr("pipeline.adapters.ranged._WAITS", (0.0, 0.0, 0.0))
    use(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    return monkeypatch


def use(environment: pytest.MonkeyPatch, url: str) -> None:
    """Point boto3 to a server."""
    for name, value in object_storage.settings(url).items():
        environment.setenv(name, value)


@pytest.fixture
def script(environment: pytest.MonkeyPatch) -> Iterator[Scripted]:
    with scripted_server() as script:
        use(environment, script.url)
        yield script


@pytest.fixture(scope="module")
def relay(storage: ObjectStorage) -> Iterator[Unreliable]:
    with unreliable(int(storage.url.rpartition(":")[2])) as relay:
        yield relay


def fails(error: type[LaurelError], says: str, root: str = ROOT) -> None:
    """List, and expect an error that repeats no secret."""
    with pytest.raises(error, match=says) as caught:
        S3Artifacts().files(root)
    assert SECRET not in f"{caught.value!r}{caught.value}"


def answer(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "code", "error", "says"),
    [
        (301, "PermanentRedirect", PermanentError, "set AWS_DEFAULT_REGION to eu-central-1"),
        (400, "AuthorizationHeaderMalformed", PermanentError, "another region"),
        (400, "ExpiredToken", ForbiddenError, "renew them"),
        (400, "InvalidRequest", PermanentError, "lead to the S3 that MLflow uses"),
        (400, "RequestTimeout", UnavailableError, "RequestTimeout"),
        (400, "<b>", PermanentError, "400: "),
        (401, "Unauthorized", ForbiddenError, "s3:ListBucket"),
        (403, "AccessDenied", ForbiddenError, "credentials come from the AWS_\\* variables"),
        (403, "InvalidObjectState", ForbiddenError, "restore it"),
        (403, "RequestTimeTooSkewed", ForbiddenError, "clock"),
        (404, "NoSuchBucket", NotFoundError, "no such bucket"),
        (404, "NoSuchKey", NotFoundError, "deleted"),
        (412, "PreconditionFailed", CorruptedError, "changed while it was read"),
        (416, "InvalidRange", CorruptedError, "changed while it was read"),
        (429, "TooManyRequests", RateLimitedError, "fewer requests"),
        (500, "InternalError", UnavailableError, "500 InternalError"),
        (503, "SlowDown", RateLimitedError, "fewer requests"),
        (503, "ServiceUnavailable", UnavailableError, "503"),
    ],
)
def test_what_s3_answers_becomes_the_error_that_says_what_to_do(
    script: Scripted, status: int, code: str, error: type[LaurelError], says: str
) -> None:
    headers = {"x-amz-bucket-region": "eu-central-1"} if status == 301 else {}
    script.says(status, answer(code), Retry_After="7", **headers)
    fails(error, says)


def test_a_pause_that_s3_asks_for_is_told_on(script: Scripted) -> None:
    script.says(503, answer("SlowDown"), Retry_After="7")
    with pytest.raises(RateLimitedError) as caught:
        S3Artifacts().files(ROOT)
    assert caught.value.retry_after == 7.0


def test_a_region_that_is_none_is_not_repeated(script: Scripted) -> None:
    script.says(301, answer("PermanentRedirect"), **{"x-amz-bucket-region": "EU-1"})
    fails(PermanentError, "AWS_DEFAULT_REGION to the bucket's region")


def test_an_s3_that_is_down_is_unavailable() -> None:
    fails(UnavailableError, "EndpointConnectionError")


def test_an_answer_that_is_no_s3s_is_an_error_of_ours(script: Scripted) -> None:
    script.says(200, b"<html>log in</html>")
    fails(UnavailableError, "is no listing")
    script.says(200, b"no XML")
    fails(UnavailableError, "s3://models/model/")


def test_a_listing_that_breaks_off_in_its_headers_is_no_empty_one(script: Scripted) -> None:
    script.says(200, b"")
    fails(UnavailableError, "broke off")


def test_an_unknown_key_is_told_by_where_it_came_from(
    storage: ObjectStorage, environment: pytest.MonkeyPatch
) -> None:
    use(environment, storage.url)
    environment.setenv("AWS_ACCESS_KEY_ID", "nobody")
    fails(ForbiddenError, "InvalidAccessKeyId.*AWS_\\* variables")


def test_a_wrong_secret_in_a_file_is_told_by_the_file_and_not_repeated(
    storage: ObjectStorage, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use(environment, storage.url)
    file = tmp_path / "credentials"
    file.write_text(
        f"[laurel]\naws_access_key_id = {object_storage.KEY}\naws_secret_access_key = wrong\n"
    )
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.delenv(name)
    environment.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    environment.setenv("AWS_PROFILE", "laurel")
    fails(ForbiddenError, "SignatureDoesNotMatch.*the shared credentials file")


def test_without_credentials_it_says_where_they_are_looked_for(
    storage: ObjectStorage, environment: pytest.MonkeyPatch
) -> None:
    use(environment, storage.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.delenv(name)
    fails(ForbiddenError, "none were found; .*AWS_PROFILE and the shared files")


def test_a_role_that_cannot_be_taken_now_is_waited_for(environment: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        environment.delenv(name)
    environment.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/role")
    environment.setattr("botocore.utils.ContainerMetadataFetcher.SLEEP_TIME", 0)
    fails(UnavailableError, "whoever hands them out does not answer")


def test_a_profile_that_is_not_there_says_where_to_look(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_PROFILE", "nowhere")
    fails(PermanentError, "ProfileNotFound.*shared AWS files")


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL_S3", "MLFLOW_S3_ENDPOINT_URL"])
def test_an_address_that_is_none_is_a_mistake_in_the_configuration(
    environment: pytest.MonkeyPatch, name: str
) -> None:
    environment.setenv(name, f"ada:{SECRET}@nowhere")
    fails(ConfigurationError, "AWS_ENDPOINT_URL_S3")


def test_a_machine_without_boto3_says_what_to_install(environment: pytest.MonkeyPatch) -> None:
    environment.setitem(sys.modules, "boto3.session", None)
    fails(ConfigurationError, r"pip install 'laurel\[s3\]'")


@pytest.mark.parametrize("root", ["s3:///model", "s3:model", f"s3://ada:{SECRET}@models/m"])
def test_a_root_without_a_bucket_or_with_credentials_is_refused(root: str) -> None:
    fails(PermanentError, "s3://bucket/folder", root)


def test_mlflows_address_goes_before_boto3s(
    storage: ObjectStorage, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("MLFLOW_S3_ENDPOINT_URL", storage.url)
    assert S3Artifacts().files(ROOT) == (FILE,)


def test_a_shared_config_file_alone_is_enough(
    storage: ObjectStorage, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "config"
    file.write_text(
        "[profile laurel]\n"
        f"aws_access_key_id = {object_storage.KEY}\naws_secret_access_key = {SECRET}\n"
        f"region = us-east-1\nendpoint_url = {storage.url}\n"
        "s3 =\n  addressing_style = path\n"
    )
    for name in object_storage.settings(""):
        environment.delenv(name)
    environment.setenv("AWS_CONFIG_FILE", str(file))
    environment.setenv("AWS_PROFILE", "laurel")
    assert S3Artifacts().files(ROOT) == (FILE,)


@pytest.mark.parametrize(
    ("style", "url"),
    [("path", "http://s3.example/models?"), ("virtual", "http://models.s3.example/?")],
)
def test_the_addressing_style_and_the_owner_are_mlflows(
    script: Scripted, environment: pytest.MonkeyPatch, style: str, url: str
) -> None:
    script.says(200, EMPTY)
    environment.setenv("HTTP_PROXY", script.url)
    environment.setenv("AWS_ENDPOINT_URL_S3", "http://s3.example")
    environment.setenv("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", style)
    environment.setenv("MLFLOW_S3_EXPECTED_BUCKET_OWNER", "123456789012")
    assert S3Artifacts().files(ROOT) == ()
    [(asked, headers)] = script.heard
    assert asked.startswith(url)
    assert headers["x-amz-expected-bucket-owner"] == "123456789012"


def test_a_private_authority_is_trusted_where_boto3s_users_name_it(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate = private_certificate(tmp_path)
    with running_object_storage(tmp_path, certificate) as storage:
        storage.s3.put_object(Bucket=BUCKET, Key="model/MLmodel", Body=b"x")
        use(environment, storage.url)
        environment.setenv("MLFLOW_S3_IGNORE_TLS", "true")
        fails(PermanentError, "AWS_CA_BUNDLE.*cannot be turned off")
        environment.setenv("AWS_CA_BUNDLE", str(certificate.ca_file))
        assert S3Artifacts().files(ROOT) == (StoredFile("MLmodel", 1),)


def test_plain_http_where_tls_is_spoken_is_unavailable(
    storage: ObjectStorage, environment: pytest.MonkeyPatch
) -> None:
    use(environment, storage.url.replace("http:", "https:"))
    fails(UnavailableError, "SSLError")


@pytest.mark.parametrize("name", ["../secret", "a//b", "./x", "a/../b"])
def test_a_key_that_leads_out_of_the_folder_refuses_the_model(script: Scripted, name: str) -> None:
    entry = f"<Contents><Key>model/{name}</Key><Size>1</Size></Contents>"
    script.says(200, f"<ListBucketResult>{entry}{END}".encode())
    refused = S3Artifacts().files(ROOT)
    assert isinstance(refused, Refused)
    assert "leads out" in refused.reason


def test_a_listing_of_too_many_files_refuses_the_model(
    script: Scripted, environment: pytest.MonkeyPatch
) -> None:
    environment.setattr("pipeline.adapters.artifact_listing.MOST", 1500)
    keys = "".join(f"<Contents><Key>model/{n}</Key><Size>1</Size></Contents>" for n in range(1000))
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>"
    script.says(200, f"<ListBucketResult>{keys}{more}</ListBucketResult>".encode())
    refused = S3Artifacts().files(ROOT)
    assert isinstance(refused, Refused)
    assert len(script.heard) == 2


def test_markers_of_folders_are_no_files(
    storage: ObjectStorage, environment: pytest.MonkeyPatch
) -> None:
    use(environment, storage.url)
    for key, body in (("marked/", b""), ("marked/code/", b""), ("marked/code/x.py", b"x")):
        storage.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    assert S3Artifacts().files(f"s3://{BUCKET}/marked/") == (StoredFile("code/x.py", 1),)


def test_a_bucket_may_itself_be_the_root(script: Scripted) -> None:
    script.says(200, EMPTY)
    S3Artifacts().files("s3://models")
    assert "prefix=&" in script.heard[0][0]


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(cuts=st.lists(st.integers(1, len(CONTENT)), max_size=3))
def test_wherever_three_connections_break_the_file_comes_whole(
    relay: Unreliable, environment: pytest.MonkeyPatch, cuts: list[int]
) -> None:
    use(environment, relay.url)
    relay.cuts = deque(cuts)
    assert b"".join(S3Artifacts().read(ROOT, FILE)) == CONTENT


def test_a_network_that_always_breaks_is_unavailable(
    relay: Unreliable, environment: pytest.MonkeyPatch
) -> None:
    use(environment, relay.url)
    relay.cuts = deque([1000] * 200)
    with pytest.raises(UnavailableError, match="not to the end"):
        list(S3Artifacts().read(ROOT, FILE))
    relay.cuts.clear()


@pytest.mark.parametrize("grown", [-1, 0, 1])
def test_an_object_that_changes_while_it_is_read_is_noticed(
    storage: ObjectStorage, environment: pytest.MonkeyPatch, grown: int
) -> None:
    use(environment, storage.url)
    storage.s3.put_object(Bucket=BUCKET, Key="changing/weights", Body=CONTENT)
    stream = S3Artifacts().read(f"s3://{BUCKET}/changing", FILE)
    next(stream)
    changed = os.urandom(len(CONTENT) + grown)
    storage.s3.put_object(Bucket=BUCKET, Key="changing/weights", Body=changed)
    with pytest.raises(CorruptedError, match="changed while it was read"):
        list(stream)


def test_an_s3_that_ignores_ranges_is_told(script: Scripted) -> None:
    script.says(200, CONTENT)
    with pytest.raises(PermanentError, match="does not answer ranges"):
        list(S3Artifacts().read(ROOT, FILE))


def test_a_checksum_of_other_bytes_is_noticed(script: Scripted) -> None:
    script.says(200, b"hello", **{"x-amz-checksum-crc32": "AAAAAA=="})
    with pytest.raises(CorruptedError, match="checksum"):
        list(S3Artifacts().read(ROOT, StoredFile("greeting", 5)))


def test_many_readers_share_one_client(
    storage: ObjectStorage, environment: pytest.MonkeyPatch
) -> None:
    use(environment, storage.url)
    store = S3Artifacts()
    with ExitStack() as stack:
        streams = [store.read(ROOT, FILE) for _ in range(3)]
        for stream in streams:
            stack.callback(stream.close)  # type: ignore[attr-defined]  # every stream of ours is a generator
        for chunks in zip(*streams, strict=True):
            assert len(set(chunks)) == 1
