"""The registries that other tests rely on have the ways that ``tests.servers.registries`` tells."""

import base64
import hashlib
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urljoin

import pytest
import urllib3

from tests.servers.fault_proxy import fault_proxy
from tests.servers.faults import CutRequest
from tests.servers.go_tools import CRANE, built
from tests.servers.registries import Registry, running_plain
from tests.servers.token_server import IDENTITY_TOKEN, PASSWORD, READER, WRITER, TokenServer

ALL = ["plain", "htpasswd", "token", "tls", "ociserver", "odd"]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONTENT = b"{}"


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False, timeout=30) as pool:
        yield pool


@pytest.fixture
def registry(request: pytest.FixtureRequest) -> Registry:
    name = request.param if request.param == "ociserver" else f"{request.param}_registry"
    found: Registry = request.getfixturevalue(name)
    return found


def crane(folder: Path, registry: Registry, *arguments: str, identity: str = "") -> str:
    """Run an independent client, logged in as the registry's user."""
    pair = base64.b64encode(f"{registry.username}:{registry.password}".encode()).decode()
    login = {"identitytoken": identity} if identity else {"auth": pair}
    auths = {registry.host: login} if registry.username else {}
    (folder / "config.json").write_text(json.dumps({"auths": auths}))
    trusted = {"SSL_CERT_FILE": str(registry.ca_file)} if registry.ca_file else {}
    ended = subprocess.run(
        [built(CRANE), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **trusted, "DOCKER_CONFIG": str(folder)},
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def append(folder: Path, registry: Registry, name: str, identity: str = "") -> str:
    with tarfile.open(folder / "layer.tar", "w") as layer:
        layer.add(__file__, "model")
    image = ["-f", str(folder / "layer.tar"), "-t", f"{registry.host}/{name}"]
    return crane(folder, registry, "append", "--oci-empty-base", *image, identity=identity)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def upload(http: urllib3.PoolManager, url: str) -> str:
    started = http.request("POST", f"{url}/blobs/uploads/")
    assert started.status == 202, started.data
    return urljoin(url, started.headers["Location"])  # distribution's is absolute


def put(http: urllib3.PoolManager, location: str, content: bytes, digest: str) -> int:
    joint = "&" if "?" in location else "?"
    asked = f"{location}{joint}{urlencode({'digest': digest})}"
    headers = {"Content-Type": "application/octet-stream"}
    return http.request("PUT", asked, body=content, headers=headers).status


def push_referring(http: urllib3.PoolManager, registry: Registry) -> tuple[str, str | None]:
    """Push a manifest that names a subject; the subject, and what ``OCI-Subject`` said."""
    url = f"{registry.url}/v2/t/referring"
    digest = digest_of(CONTENT)
    assert put(http, upload(http, url), CONTENT, digest) == 201
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": 2}
    subject = {"schemaVersion": 2, "mediaType": MANIFEST, "config": empty, "layers": [empty]}
    raw = json.dumps(subject).encode()
    named = {"mediaType": MANIFEST, "digest": digest_of(raw), "size": len(raw)}
    referring = json.dumps({**subject, "subject": named}).encode()
    assert push_manifest(http, url, raw).status == 201
    answer = push_manifest(http, url, referring)
    assert answer.status == 201
    return digest_of(raw), answer.headers.get("OCI-Subject")


def push_manifest(http: urllib3.PoolManager, url: str, content: bytes) -> urllib3.BaseHTTPResponse:
    to, headers = f"{url}/manifests/{digest_of(content)}", {"Content-Type": MANIFEST}
    return http.request("PUT", to, body=content, headers=headers)


@pytest.mark.parametrize("registry", ALL, indirect=True)
def test_an_independent_client_pushes_reads_and_deletes(registry: Registry, tmp_path: Path) -> None:
    reference = append(tmp_path, registry, "t/crane:1")
    crane(tmp_path, registry, "validate", "--remote", reference)
    assert crane(tmp_path, registry, "digest", f"{registry.host}/t/crane:1") in reference
    crane(tmp_path, registry, "delete", reference)
    with pytest.raises(AssertionError, match="MANIFEST_UNKNOWN"):
        crane(tmp_path, registry, "manifest", reference)


@pytest.mark.parametrize(
    ("registry", "listed", "subject_said"),
    [("plain", 404, False), ("ociserver", 200, True), ("odd", 200, False)],
    indirect=["registry"],
)
def test_registries_differ_in_what_they_say_of_referrers(
    registry: Registry, listed: int, *, subject_said: bool, http: urllib3.PoolManager
) -> None:
    subject, said = push_referring(http, registry)
    assert said == (subject if subject_said else None)
    answer = http.request("GET", f"{registry.url}/v2/t/referring/referrers/{subject}")
    assert answer.status == listed
    if listed == 200:
        assert len(answer.json()["manifests"]) == 1


@pytest.mark.parametrize("registry", ["htpasswd"], indirect=True)
@pytest.mark.parametrize(("password", "status"), [(PASSWORD, 200), ("guessed", 401), (None, 401)])
def test_basic_credentials_are_asked_for_and_checked(
    registry: Registry, password: str | None, status: int, http: urllib3.PoolManager
) -> None:
    headers = {} if password is None else basic(WRITER, password)
    assert http.request("GET", f"{registry.url}/v2/", headers=headers).status == status


def test_only_the_private_ca_vouches_for_the_tls_registry(tls_registry: Registry) -> None:
    with urllib3.PoolManager(retries=False) as stranger, pytest.raises(urllib3.exceptions.SSLError):
        stranger.request("GET", f"{tls_registry.url}/v2/")
    with urllib3.PoolManager(ca_certs=str(tls_registry.ca_file)) as friend:
        assert friend.request("GET", f"{tls_registry.url}/v2/").status == 200
        by_name = tls_registry.url.replace("127.0.0.1", "localhost")
        assert friend.request("GET", f"{by_name}/v2/").status == 200


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def bearer(http: urllib3.PoolManager, tokens: TokenServer, scope: str, user: str | None) -> str:
    asked = urlencode({"service": tokens.service, "scope": scope})
    headers = {} if user is None else basic(user, PASSWORD)
    answer = http.request("GET", f"{tokens.realm}?{asked}", headers=headers)
    assert answer.status == 200, answer.data
    return f"Bearer {answer.json()['token']}"


@pytest.fixture
def tokens(token_registry: Registry) -> TokenServer:
    assert token_registry.tokens is not None
    token_registry.tokens.heard.clear()
    return token_registry.tokens


@pytest.mark.parametrize(
    ("user", "repository", "pull", "push"),
    [
        (WRITER, "t/x", 404, 202),
        (READER, "t/x", 404, 401),
        (None, "t/x", 401, 401),
        (None, "public/x", 404, 401),
    ],
)
def test_a_token_allows_what_its_user_may(
    token_registry: Registry,
    tokens: TokenServer,
    http: urllib3.PoolManager,
    user: str | None,
    repository: str,
    pull: int,
    push: int,
) -> None:
    token = bearer(http, tokens, f"repository:{repository}:pull,push", user)
    url, headers = f"{token_registry.url}/v2/{repository}", {"Authorization": token}
    assert http.request("HEAD", f"{url}/manifests/1", headers=headers).status == pull
    assert http.request("POST", f"{url}/blobs/uploads/", headers=headers).status == push


def test_an_identity_token_logs_in_by_post(
    token_registry: Registry, tokens: TokenServer, tmp_path: Path
) -> None:
    append(tmp_path, token_registry, "t/identity:1", identity=IDENTITY_TOKEN)
    (asked,) = {(a.method, a.grant, a.account, a.status) for a in tokens.heard}
    assert asked == ("POST", "refresh_token", WRITER, 200)
    assert IDENTITY_TOKEN not in str(tokens.heard)


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"grant_type": "password", "username": WRITER, "password": PASSWORD}, 200),
        ({"grant_type": "password", "username": WRITER, "password": "guessed"}, 401),
        ({"grant_type": "refresh_token", "refresh_token": "guessed"}, 401),
    ],
)
def test_posted_credentials_are_checked(
    tokens: TokenServer, http: urllib3.PoolManager, form: dict[str, str], status: int
) -> None:
    assert http.request_encode_body("POST", tokens.realm, form, encode_multipart=False).status == (
        status
    )


@pytest.mark.parametrize("header", ["Basic ***", *basic(WRITER, "guessed").values()])
def test_wrong_credentials_get_no_token(
    tokens: TokenServer, http: urllib3.PoolManager, header: str
) -> None:
    assert http.request("GET", tokens.realm, headers={"Authorization": header}).status == 401


def test_a_token_that_ended_is_refused(
    token_registry: Registry, tokens: TokenServer, http: urllib3.PoolManager
) -> None:
    with tokens.granting(lifetime=-61):
        token = bearer(http, tokens, "repository:t/x:pull", WRITER)
    url = f"{token_registry.url}/v2/t/x/manifests/1"
    assert http.request("GET", url, headers={"Authorization": token}).status == 401


def test_the_token_server_says_what_it_is_told_to(
    tokens: TokenServer, http: urllib3.PoolManager
) -> None:
    with tokens.answering(429, b"<html>", Retry_After="1"):
        answer = http.request("GET", tokens.realm)
    assert (answer.status, answer.data, answer.headers["Retry-After"]) == (429, b"<html>", "1")
    assert (
        http.request(
            "GET", f"{tokens.realm}?offline_token=true", headers=basic(WRITER, PASSWORD)
        ).json()["refresh_token"]
        == IDENTITY_TOKEN
    )
    assert [asked.status for asked in tokens.heard] == [429, 200]


def test_an_upload_goes_on_after_the_registry_was_killed(
    tmp_path: Path, http: urllib3.PoolManager
) -> None:
    content = bytes(range(256)) * 400
    with fault_proxy(None) as proxy:
        with running_plain(tmp_path) as registry:
            proxy.upstream = registry.host
            location = upload(http, f"{proxy.url}/v2/t/again")
            proxy.fault(CutRequest(after=60_000), "PATCH")
            with pytest.raises(urllib3.exceptions.ProtocolError):
                http.request("PATCH", location, body=content)
        with running_plain(tmp_path) as registry:
            proxy.upstream = registry.host
            proxy.heal()
            state = http.request("GET", location)
            assert state.headers["Range"] == "0-59999"
            headers = {"Content-Type": "application/octet-stream"}
            rest = http.request(
                "PATCH", state.headers["Location"], body=content[60_000:], headers=headers
            )
            assert rest.status == 202
            assert put(http, rest.headers["Location"], b"", digest_of(content)) == 201
