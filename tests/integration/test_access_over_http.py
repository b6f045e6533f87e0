"""A real server, a real issuer beside it: who gets in, who does not, and for how long."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pipeline.domain.promotion import TriggerKind
from tests.servers.certificates import private_certificate
from tests.servers.laurel import MODEL, SERVICE, Laurel, install
from tests.servers.oidc_issuer import AUDIENCE, KEYS, Answer, Issuer, running_issuer
from tests.servers.unmeasured import unmeasured
from tests.servers.waiting import until

PROMOTE = {"model": MODEL, "alias": "champion", "service": SERVICE}
NO_MLFLOW = "http://127.0.0.1:9"


@dataclass
class Server:
    """A running `laurel serve`, and the issuer that it believes over TLS."""

    laurel: Laurel
    issuer: Issuer

    def call(
        self, token: str, method: str = "GET", path: str = "/services", body: object = None
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        port = self.laurel.settings.server.port
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request(method, path, json.dumps(body) if body else None, headers)
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def laurel_token(self, *arguments: str) -> str:
        """Run `laurel token` in a process of its own, as whoever owns the ledger does."""
        config = str(self.laurel.folder / "laurel.yaml")
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", "token", *arguments, "--config", config],
            env=unmeasured(),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout.strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("access")
    certificate = private_certificate(folder)
    with running_issuer(certificate) as issuer:
        rule = {
            "roles": ["operator"],
            "services": [SERVICE],
            "claims": {"repository": "acme/models", "environment": ["staging", "production"]},
        }
        oidc = {
            "issuer": issuer.url,
            "audience": AUDIENCE,
            "ca_file": str(certificate.ca_file),
            "allow": [rule],
        }
        laurel = Laurel(install(folder / "laurel", NO_MLFLOW, None, {"auth": {"oidc": [oidc]}}))
        (laurel.folder / "laurel.token").write_text("the operator's own")
        laurel.start("serve")
        until(laurel.answers, "the receiver to answer", 60, laurel.log)
        try:
            yield Server(laurel, issuer)
        finally:
            laurel.down()


def test_a_workflow_promotes_with_its_own_token_and_looks_at_what_became_of_it(
    server: Server,
) -> None:
    token = server.issuer.token()
    status, said = server.call(token, "POST", "/promotions", PROMOTE)
    assert status == 202
    promotion = said["items"][0]
    assert promotion["trigger"]["actor"] == "github:octocat (acme/models)"
    assert promotion["trigger"]["kind"] == TriggerKind.GITHUB
    assert server.call(token, "POST", "/promotions", PROMOTE)[1]["items"][0] == promotion
    assert server.call(token, path=f"/promotions/{promotion['id']}")[0] == 200
    status, said = server.call(token, "POST", "/promotions", PROMOTE | {"reason": "once more"})
    assert status == 401
    assert said["detail"] == "This token was used for another change: ask for a fresh one."
    assert server.call(server.issuer.token(), "POST", "/promotions", PROMOTE)[0] == 202


def test_the_operator_s_own_token_opens_as_it_always_did(server: Server) -> None:
    assert server.laurel.call("GET", f"/services/{SERVICE}")[0] == 200
    assert server.laurel.call("POST", "/promotions", PROMOTE)[0] == 202


def test_foreign_expired_and_misdirected_tokens_are_told_what_was_expected(
    server: Server,
) -> None:
    issuer = server.issuer
    now = issuer.claims()["iat"]
    for changes, status, words in (
        ({"repository": "evil/models"}, 403, "repository 'acme/models'"),
        ({"environment": None}, 403, "environment 'staging' or 'production'"),
        ({"exp": now - 100, "iat": now - 400}, 401, "has expired"),
        ({"aud": "sigstore"}, 401, "ask for one for 'laurel'"),
        ({"iss": "https://token.actions.githubusercontent.com"}, 401, issuer.url),
    ):
        answered, said = server.call(issuer.token(**changes), "POST", "/promotions", PROMOTE)
        assert (answered, words in said["detail"]) == (status, True), said
        assert "evil" not in said["detail"]


def test_a_second_s_life_of_a_revoked_token_is_the_most_there_is(server: Server) -> None:
    token = server.laurel_token("create", "ci", "--role", "reader")
    assert server.call(token)[0] == 200
    server.laurel_token("revoke", "ci")
    status, said = server.call(token)
    assert (status, said["detail"][:23]) == (401, "The token ci is revoked")


def test_no_token_is_in_what_the_server_logs_or_keeps(server: Server) -> None:
    tokens = [server.issuer.token(), server.issuer.token(repository="evil/models")]
    tokens.append(server.laurel_token("create", "logged", "--role", "reader"))
    for token in tokens:
        server.call(token, "POST", "/promotions", PROMOTE)
    kept = b"".join(file.read_bytes() for file in server.laurel.folder.glob("*") if file.is_file())
    for token in tokens:
        assert token.rpartition("." if "." in token else "_")[2].encode() not in kept


def test_a_server_started_while_the_issuer_is_down_says_later_not_no(tmp_path: Path) -> None:
    with running_issuer() as issuer:
        rule = {"roles": ["reader"], "claims": {"sub": issuer.claims()["sub"]}}
        oidc = {"issuer": issuer.url, "audience": AUDIENCE, "allow": [rule]}
        laurel = Laurel(install(tmp_path / "laurel", NO_MLFLOW, None, {"auth": {"oidc": [oidc]}}))
        (laurel.folder / "laurel.token").write_text("the operator's own")
        issuer.rotate(ec.generate_private_key(ec.SECP256R1()))
        issuer.down()
        try:
            laurel.start("serve")
            until(laurel.answers, "the receiver to answer", 60, laurel.log)
            status, said = Server(laurel, issuer).call(issuer.token())
            assert status == 503
            assert said["detail"].endswith("Send the same again later.")
            assert laurel.call("GET", "/services")[0] == 200
        finally:
            laurel.down()


def test_a_discovery_page_of_a_megabyte_is_no_reason_to_fall_over(server: Server) -> None:
    issuer = server.issuer
    before = issuer.answers[KEYS]
    issuer.answers[KEYS] = Answer({"keys": [issuer.jwk(padding="a" * 1_000_000)]})
    try:
        assert server.call(issuer.token({"kid": "unknown"}))[0] in {401, 503}
        assert server.call(issuer.token())[0] == 200
    finally:
        issuer.answers[KEYS] = before
