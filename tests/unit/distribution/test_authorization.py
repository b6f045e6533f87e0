"""Who is told what of who asks: Basic, Bearer, and what becomes of a no."""

import json
import socket
import stat
import threading
from pathlib import Path

import pytest

from pipeline.distribution.request import Scope
from pipeline.errors import (
    ForbiddenError,
    PermanentError,
    RateLimitedError,
    UnavailableError,
)
from tests.servers.faults import Answer
from tests.servers.token_server import IDENTITY_TOKEN
from tests.unit.distribution.raw_server import head, raw_server
from tests.unit.distribution.scene import MANIFEST, PUSH, Scene


def test_a_registry_that_asks_nobody_is_told_nothing(scene: Scene) -> None:
    scene.log_in()
    assert scene.ask() == 404
    assert scene.shown() == [""]


def test_a_password_is_shown_when_it_is_asked_for_and_at_once_from_then_on(scene: Scene) -> None:
    scene.log_in()
    scene.wants("Basic realm=registry")
    assert [scene.ask(), scene.ask(target=MANIFEST), scene.ask("HEAD")] == [200, 200, 200]
    assert scene.shown() == ["", "Basic ...", "Basic ...", "Basic ..."]


def test_a_token_is_got_once_and_shown_at_once_from_then_on(scene: Scene) -> None:
    scene.log_in()
    scene.wants_tokens()
    assert [scene.ask(scopes=PUSH), scene.ask(), scene.ask("HEAD", MANIFEST)] == [200, 200, 200]
    assert scene.shown() == ["", "Bearer ...", "Bearer ...", "Bearer ..."]
    (asked,) = scene.tokens.heard
    assert (asked.method, asked.account, asked.service) == ("GET", "laurel", "registry.test")
    assert asked.scopes == ("repository:ml/fraud:pull,push",)


def test_a_token_for_less_is_not_shown_for_more(scene: Scene) -> None:
    scene.log_in()
    scene.wants_tokens()
    scene.ask()
    scene.ask(scopes=PUSH)
    mount = (*PUSH, Scope("ml/other"))
    scene.ask("POST", scopes=mount)
    scene.ask("POST", scopes=(Scope("ml/other"), *PUSH))
    assert [asked.scopes for asked in scene.tokens.heard] == [
        ("repository:ml/fraud:pull",),
        ("repository:ml/fraud:pull,push",),
        ("repository:ml/fraud:pull,push", "repository:ml/other:pull"),
    ]


def test_without_a_login_a_token_is_asked_for_by_nobody(scene: Scene) -> None:
    scene.wants_tokens()
    assert scene.ask() == 200
    assert [asked.account for asked in scene.tokens.heard] == [None]


def test_the_scope_that_a_registry_names_comes_first(scene: Scene) -> None:
    scene.wants_tokens(scope="repository:mirror/ml/fraud:pull repository:ml/fraud:pull")
    scene.ask()
    assert scene.tokens.heard[0].scopes == (
        "repository:mirror/ml/fraud:pull",
        "repository:ml/fraud:pull",
    )


def test_a_realm_keeps_its_own_query(scene: Scene) -> None:
    scene.wants_tokens(realm=f"{scene.tokens.realm}?scope=tenant:x")
    scene.ask()
    assert scene.tokens.heard[0].scopes == ("tenant:x", "repository:ml/fraud:pull")


def test_a_registry_without_a_service_is_asked_without_one(scene: Scene) -> None:
    scene.wants(f'Bearer realm="{scene.tokens.realm}"')
    scene.ask()
    assert scene.tokens.heard[0].service is None


def test_an_identity_token_is_spoken_of_in_oauth2(scene: Scene) -> None:
    scene.write(identitytoken=IDENTITY_TOKEN)
    scene.wants_tokens()
    assert scene.ask() == 200
    (asked,) = scene.tokens.heard
    assert (asked.method, asked.grant, asked.client) == ("POST", "refresh_token", "laurel")
    assert asked.scopes == ("repository:ml/fraud:pull",)


@pytest.mark.parametrize("status", [404, 405])
def test_a_token_server_without_oauth2_is_asked_as_docker_asks(scene: Scene, status: int) -> None:
    scene.write(identitytoken="i", username="laurel", password="p")
    scene.elsewhere.fault(Answer(status), "POST")
    scene.elsewhere.fault(Answer(200, body=b'{"access_token": "t"}'), "GET")
    scene.wants(f'Bearer realm="{scene.elsewhere.url}/token"')
    assert scene.ask() == 200
    heard = scene.elsewhere.heard()
    assert [note.method for note in heard] == ["POST", "GET"]
    assert [note.headers.get("authorization") for note in heard] == [None, "Basic ..."]


def test_a_registry_token_is_shown_as_it_is(scene: Scene) -> None:
    scene.write(registrytoken="ready-made")
    scene.wants_tokens()
    assert scene.ask() == 200
    assert scene.shown() == ["", "Bearer ..."]
    assert scene.tokens.heard == []


def test_a_token_that_was_refused_is_replaced_once(scene: Scene) -> None:
    scene.log_in()
    scene.wants_tokens()
    scene.ask()
    scene.registry.heal()
    scene.wants_tokens()
    body = [b"whole ", b"body"]
    assert scene.ask("PUT", body=lambda: iter(body), size=10) == 200
    assert len(scene.tokens.heard) == 2
    assert [note.body_length for note in scene.registry.heard("PUT")] == [10, 10]


def test_a_token_that_ends_at_once_is_got_for_every_request(scene: Scene) -> None:
    scene.log_in()
    with scene.tokens.granting(lifetime=300, expires_in=5):
        scene.wants_tokens()
        scene.ask()
        scene.ask()
    assert scene.shown() == ["", "Bearer ...", "Bearer ..."]
    assert len(scene.tokens.heard) == 2


def test_what_many_threads_need_is_asked_for_once(scene: Scene) -> None:
    scene.log_in()
    scene.wants_tokens()
    scene.ask()
    wants = [Scope("ml/fraud", ("pull", "push"))]
    threads = [threading.Thread(target=scene.ask, kwargs={"scopes": wants}) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(scene.tokens.heard) == 2


def test_who_was_refused_what_is_told_and_where_the_login_is_from(scene: Scene) -> None:
    scene.log_in("ada", "s3cret-of-ada")
    scene.wants("Basic realm=registry", nth=None)
    with pytest.raises(ForbiddenError) as caught:
        scene.ask("POST", scopes=PUSH)
    hint = caught.value.hint
    assert hint.startswith(f"{scene.registry.host} refuses user ada (auths of ")
    assert hint.endswith("config.json) pull and push on ml/fraud: UNAUTHORIZED log in")
    assert "s3cret" not in str(caught.value)
    assert scene.shown() == ["", "Basic ..."]


def test_who_has_no_login_is_told_to_log_in(scene: Scene) -> None:
    scene.wants("Basic realm=registry", nth=None)
    with pytest.raises(ForbiddenError) as caught:
        scene.ask()
    host = scene.registry.host
    assert caught.value.hint.startswith(f"{host} wants credentials for pull on ml/fraud, and there")
    assert caught.value.hint.endswith(f"log in: docker login {host}")
    assert scene.shown() == [""]


def test_a_token_that_is_not_enough_is_a_no_to_who_asked(scene: Scene) -> None:
    scene.log_in("reader")
    challenge = f'Bearer realm="{scene.tokens.realm}",error="insufficient_scope"'
    scene.wants(challenge, nth=None)
    with pytest.raises(ForbiddenError, match=r"refuses user reader \(auths of .* pull and push"):
        scene.ask("POST", scopes=PUSH)
    assert scene.shown() == ["", "Bearer ..."]


def test_a_wrong_password_is_refused_by_who_gives_out_tokens(scene: Scene) -> None:
    scene.log_in("laurel", "wrong-password")
    scene.wants_tokens()
    with pytest.raises(ForbiddenError) as caught:
        scene.ask()
    port = scene.tokens.realm.rpartition(":")[2].partition("/")[0]
    by = f"localhost:{port}, which gives out tokens for {scene.registry.host}, refuses user laurel"
    assert caught.value.hint.startswith(by)
    assert "incorrect username or password" in caught.value.hint
    assert "wrong-password" not in str(caught.value)
    assert len(scene.tokens.heard) == 1


def test_a_login_that_gets_no_more_tokens_is_refused(scene: Scene) -> None:
    scene.log_in()
    with scene.tokens.granting(lifetime=300, expires_in=0):
        scene.wants_tokens()
        scene.ask()
    with (
        scene.tokens.answering(401, b"{}"),
        pytest.raises(ForbiddenError, match="refuses user laurel"),
    ):
        scene.ask()
    assert len(scene.tokens.heard) == 2


def test_an_identity_token_that_is_over_is_refused(scene: Scene) -> None:
    scene.write(identitytoken="old-one")
    with scene.tokens.answering(400, b'{"error": "invalid_grant"}'):
        scene.wants_tokens()
        with pytest.raises(ForbiddenError, match=r"the token \(auths of .*invalid_grant"):
            scene.ask()


def test_a_login_that_changed_is_tried_before_anybody_is_refused(scene: Scene) -> None:
    scene.log_in()
    scene.wants("Basic realm=registry", nth=range(1, 3))
    with pytest.raises(ForbiddenError):
        scene.ask()
    scene.log_in("laurel", "another one")
    assert scene.ask() == 200


def test_a_helper_whose_password_ran_out_is_asked_again(scene: Scene, tmp_path: Path) -> None:
    install_counting_helper(scene, tmp_path)
    scene.wants("Basic realm=registry")
    assert scene.ask() == 200
    scene.registry.heal()
    scene.registry.fault(Answer(403), nth=1)
    scene.registry.fault(Answer(200))
    assert scene.ask() == 200
    assert (tmp_path / "asked").read_text() == "xx"


def install_counting_helper(scene: Scene, folder: Path) -> None:
    helper = folder / "docker-credential-counting"
    answer = '{\\"Username\\":\\"AWS\\",\\"Secret\\":\\"$(cat asked)\\"}'
    helper.write_text(f'#!/bin/sh\ncd {folder}; printf x >> asked; echo "{answer}"\n')
    helper.chmod(helper.stat().st_mode | stat.S_IXUSR)
    scene.environment["PATH"] = f"{folder}:/usr/bin:/bin"
    scene.config.write_text(json.dumps({"credHelpers": {scene.registry.host: "counting"}}))


def test_a_token_server_that_refuses_a_helpers_old_password_gets_the_new_one(
    scene: Scene, tmp_path: Path
) -> None:
    install_counting_helper(scene, tmp_path)
    realm = f'Bearer realm="{scene.elsewhere.url}/token"'
    token = Answer(200, body=b'{"token": "t", "expires_in": 0}')
    scene.elsewhere.fault(token, nth=1)
    scene.elsewhere.fault(Answer(401), nth=2)
    scene.elsewhere.fault(token)
    scene.wants(realm)
    assert [scene.ask(), scene.ask()] == [200, 200]
    assert (tmp_path / "asked").read_text() == "xx"
    assert scene.elsewhere.count() == 3


def test_forbidden_is_final_where_nothing_has_changed(scene: Scene) -> None:
    scene.log_in()
    scene.wants("Basic realm=registry")
    scene.ask()
    scene.registry.heal()
    denied = b'{"errors": [{"code": "DENIED", "message": "read only"}]}'
    scene.registry.fault(Answer(403, body=denied))
    with pytest.raises(ForbiddenError, match=r"refuses user laurel .* DENIED read only"):
        scene.ask()
    assert scene.shown() == ["", "Basic ...", "Basic ..."]


def test_forbidden_with_a_challenge_is_as_good_as_being_asked(scene: Scene) -> None:
    scene.log_in()
    scene.registry.fault(Answer(403, {"WWW-Authenticate": "Basic"}), nth=1)
    scene.registry.fault(Answer(200))
    assert scene.ask() == 200


@pytest.mark.parametrize(
    ("status", "challenge", "what"),
    [
        (403, None, r"refuses it \(DENIED out\) and asks for no login"),
        (401, None, r"refuses it \(DENIED out\) and asks for no login"),
        (401, "Negotiate, Digest x=y", "asks for digest, negotiate, and Laurel speaks Basic"),
    ],
)
def test_a_registry_that_asks_for_nothing_we_have_is_told_of(
    scene: Scene, status: int, challenge: str | None, what: str
) -> None:
    scene.log_in()
    headers = {"WWW-Authenticate": challenge} if challenge else {}
    said = b'{"errors": [{"code": "DENIED", "message": "out"}]}'
    scene.registry.fault(Answer(status, headers, said))
    with pytest.raises(ForbiddenError, match=what):
        scene.ask()
    assert scene.shown() == [""]


def test_a_password_that_is_refused_without_a_word_is_refused(scene: Scene) -> None:
    scene.log_in()
    scene.wants("Basic realm=registry")
    scene.ask()
    scene.registry.heal()
    scene.registry.fault(Answer(401))
    with pytest.raises(ForbiddenError, match="refuses user laurel"):
        scene.ask()


@pytest.mark.parametrize(
    ("realm", "what"),
    [
        ("http://auth.example.com/token", "sent to auth.example.com without TLS"),
        ("ftp://auth.example.com/token", "a token server that is no URL"),
        ("https://ada:x@auth.example.com/", "a token server that is no URL"),
        ("/token", "a token server that is no URL"),
    ],
)
def test_credentials_go_to_no_realm_that_anybody_could_read(
    scene: Scene, realm: str, what: str
) -> None:
    scene.log_in()
    scene.wants(f'Bearer realm="{realm}"')
    with pytest.raises(PermanentError, match=what):
        scene.ask()


def test_a_token_servers_redirect_is_not_followed(scene: Scene) -> None:
    scene.log_in()
    with scene.tokens.answering(307, b"x", Location=f"{scene.elsewhere.url}/token"):
        scene.wants_tokens()
        with pytest.raises(PermanentError, match=r"localhost:\d+ answers 307"):
            scene.ask()
    assert scene.elsewhere.count() == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"token": 7}',
        b'{"token": "a\\nb"}',
        b'{"token": ""}',
        b'{"token": "\\u00e9"}',
        b"[" * 100_000,
        b'{"token": "' + b"x" * (1 << 20) + b'"}',
    ],
)
def test_a_token_server_that_gives_no_token_is_named(scene: Scene, body: bytes) -> None:
    with scene.tokens.answering(200, body):
        scene.wants_tokens()
        with pytest.raises(PermanentError, match=r"localhost:\d+ answers with no token"):
            scene.ask()


def test_a_token_server_that_breaks_off_is_waited_for(scene: Scene) -> None:
    def half(connection: socket.socket, _: int) -> None:
        head(connection)
        connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"token": "a')

    with raw_server(half) as host:
        scene.wants_tokens(realm=f"http://{host}/token")
        with pytest.raises(UnavailableError, match="its answer broke off") as caught:
            scene.ask()
    assert caught.value.subject == host


def test_a_token_server_that_is_away_is_waited_for(scene: Scene) -> None:
    with scene.tokens.answering(503, b"", Retry_After="70"):
        scene.wants_tokens()
        with pytest.raises(UnavailableError) as away:
            scene.ask()
    assert away.value.subject.startswith("localhost:")
    assert away.value.retry_after == 70
    scene.registry.heal()
    with scene.tokens.answering(429, b"", Retry_After="30"):
        scene.wants_tokens()
        with pytest.raises(RateLimitedError) as busy:
            scene.ask()
    assert busy.value.retry_after == 30
