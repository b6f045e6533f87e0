"""Logging in to real registries: distribution with passwords, with tokens, behind a private CA."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.distribution.credentials import Credentials
from pipeline.distribution.request import Request, Scope
from pipeline.distribution.transport import Transport
from pipeline.errors import ForbiddenError, PermanentError
from tests.servers.fault_proxy import FaultProxy, fault_proxy
from tests.servers.registries import Registry
from tests.servers.token_server import IDENTITY_TOKEN, PASSWORD, READER

pytestmark = pytest.mark.xdist_group("registries")
PUSH = Scope("ml/fraud", ("pull", "push"))


class Client:
    """A transport with docker's configuration in ``folder``."""

    def __init__(self, host: str, folder: Path, transport: Transport) -> None:
        self.host = host
        self._folder = folder
        self._transport = transport

    def log_in(self, username: str | None, password: str | None) -> None:
        """Do what ``docker login`` does."""
        pair = f"{username}:{password}".encode()
        self.write(auth=base64.b64encode(pair).decode())

    def write(self, **entry: str) -> None:
        """Write docker's entry for the registry."""
        content = json.dumps({"auths": {self.host: entry}})
        (self._folder / "config.json").write_text(content)

    def begin(self, *scopes: Scope) -> int:
        """Begin an upload, which wants a login wherever anything does."""
        return self._status("POST", "/v2/ml/fraud/blobs/uploads/", (PUSH, *scopes))

    def look(self, repository: str = "ml/fraud") -> int:
        """Look for a manifest that is not there."""
        return self._status("HEAD", f"/v2/{repository}/manifests/none", (Scope(repository),))

    def _status(self, method: str, target: str, scopes: tuple[Scope, ...]) -> int:
        request = Request(method, self.host, target, scopes, "push a layer", "ml/fraud")
        with self._transport.open(request) as response:
            return response.status


@contextmanager
def client_of(host: str, folder: Path, ca_file: Path | None = None) -> Iterator[Client]:
    environment = {"DOCKER_CONFIG": str(folder)}
    transport = Transport(Credentials(environment), ca_file=ca_file)
    try:
        yield Client(host, folder, transport)
    finally:
        transport.close()


def test_a_password_is_enough_where_a_registry_knows_it(
    htpasswd_registry: Registry, tmp_path: Path
) -> None:
    with client_of(htpasswd_registry.host, tmp_path) as client:
        client.log_in(htpasswd_registry.username, htpasswd_registry.password)
        assert [client.begin(), client.look()] == [202, 404]


def test_wrong_credentials_say_who_was_refused_what_and_where_they_are_from(
    htpasswd_registry: Registry, tmp_path: Path
) -> None:
    with client_of(htpasswd_registry.host, tmp_path) as client:
        client.log_in("ada", "not-hers")
        with pytest.raises(ForbiddenError) as caught:
            client.begin()
    assert str(caught.value) == (
        f"could not push a layer (ml/fraud): {htpasswd_registry.host} refuses user ada "
        f"(auths of {tmp_path}/config.json) pull and push on ml/fraud: "
        "UNAUTHORIZED authentication required"
    )


def test_no_credentials_say_how_to_get_some(htpasswd_registry: Registry, tmp_path: Path) -> None:
    with (
        client_of(htpasswd_registry.host, tmp_path) as client,
        pytest.raises(ForbiddenError, match=f"log in: docker login {htpasswd_registry.host}"),
    ):
        client.begin()


def test_a_writers_token_lets_it_push_and_read(token_registry: Registry, tmp_path: Path) -> None:
    with client_of(token_registry.host, tmp_path) as client:
        client.log_in(token_registry.username, token_registry.password)
        assert [client.begin(), client.begin(Scope("ml/other")), client.look()] == [202, 202, 404]


def test_an_identity_token_is_as_good_as_a_password(
    token_registry: Registry, tmp_path: Path
) -> None:
    with client_of(token_registry.host, tmp_path) as client:
        client.write(identitytoken=IDENTITY_TOKEN)
        assert client.begin() == 202


def test_a_reader_is_refused_what_only_writers_may(
    token_registry: Registry, tmp_path: Path
) -> None:
    with client_of(token_registry.host, tmp_path) as client:
        client.log_in(READER, PASSWORD)
        assert client.look() == 404
        with pytest.raises(
            ForbiddenError, match=r"refuses user reader .* pull and push on ml/fraud"
        ):
            client.begin()
        assert client.look() == 404


def test_nobody_may_read_what_is_public_and_nothing_else(
    token_registry: Registry, tmp_path: Path
) -> None:
    with client_of(token_registry.host, tmp_path) as client:
        assert client.look("public/fraud") == 404
        with pytest.raises(ForbiddenError, match="wants credentials for pull on ml/fraud"):
            client.look()


def test_a_token_that_has_ended_is_replaced_by_itself(
    token_registry: Registry, tmp_path: Path
) -> None:
    tokens = token_registry.tokens
    assert tokens is not None
    with client_of(token_registry.host, tmp_path) as client:
        client.log_in(token_registry.username, token_registry.password)
        with (  # what is given out now has ended, whatever its giver says of it
            tokens.granting(lifetime=-61, expires_in=300),
            pytest.raises(ForbiddenError),
        ):
            client.begin()
        heard = len(tokens.heard)
        assert [client.begin(), client.begin()] == [202, 202]
        assert len(tokens.heard) == heard + 1


@pytest.fixture
def watched(token_registry: Registry) -> Iterator[FaultProxy]:
    """Lend a proxy before the registry, which counts."""
    with fault_proxy(token_registry.host) as proxy:
        yield proxy


def test_once_a_token_is_there_a_question_is_one_request(
    token_registry: Registry, watched: FaultProxy, tmp_path: Path
) -> None:
    transport = Transport(Credentials({"DOCKER_CONFIG": str(tmp_path)}), plain_http=[watched.host])
    client = Client(watched.host, tmp_path, transport)
    client.log_in(token_registry.username, token_registry.password)
    assert client.begin() == 202
    before = watched.count()
    assert [client.look(), client.begin()] == [404, 202]
    assert watched.count() - before == 2
    transport.close()


def test_a_private_authority_is_trusted_when_it_is_named(
    tls_registry: Registry, tmp_path: Path
) -> None:
    with client_of(tls_registry.host, tmp_path, tls_registry.ca_file) as client:
        assert [client.begin(), client.look()] == [202, 404]


def test_a_private_authority_that_is_not_named_is_not_trusted(
    tls_registry: Registry, tmp_path: Path
) -> None:
    with (
        client_of(tls_registry.host, tmp_path) as client,
        pytest.raises(PermanentError, match=r"its certificate is not trusted .*registry\.ca_file"),
    ):
        client.begin()


def test_a_registry_with_tls_is_never_spoken_to_without(
    tls_registry: Registry, tmp_path: Path
) -> None:
    """Go's server answers plain words with 400, which would be lent."""
    with (
        client_of(tls_registry.host.replace("127.0.0.1", "localhost"), tmp_path) as client,
        pytest.raises(PermanentError, match="its certificate is not trusted"),
    ):
        client.look()


@pytest.mark.parametrize("name", ["plain_registry", "ociserver", "odd_registry"])
def test_a_registry_on_loopback_needs_no_tls_and_no_word_about_it(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    registry = request.getfixturevalue(name)
    with client_of(registry.host, tmp_path) as client:
        assert [client.begin(), client.look()] == [202, 404]
