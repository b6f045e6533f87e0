"""Links to approve by: who gets one, what its page asks, and what a button does once."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pipeline.domain.access import Grant, Role
from pipeline.domain.approval_link import new_link
from pipeline.domain.promotion import Phase, Promotion
from pipeline.domain.references import Digest, ImageRef
from pipeline.errors import ConfigurationError
from pipeline.ledger import Ledger, new_token
from tests.fakes.asgi import Answer, Client
from tests.fakes.mlflow_webhook import NOW, Call
from tests.unit.webhook_service.conftest import World
from tests.unit.webhook_service.test_decisions import IMAGE, promotion
from webhook_service.app import create_app
from webhook_service.config import Links, ReceiverConfig
from webhook_service.pages import asked

URL, KEY = "https://laurel.example.com", b"k" * 32
LINKS = Links(f"{URL}/", lambda: KEY, lambda: KEY)


@pytest.fixture
def people(ledger: Ledger, config: ReceiverConfig) -> Iterator[Client]:
    with Client(create_app(ledger, replace(config, links=LINKS))) as opened:
        yield opened


def bearer(ledger: Ledger, name: str = "cy", *, services: frozenset[str] | None = None) -> str:
    text, made = new_token(name, Grant(frozenset({Role.APPROVER}), services), NOW, None)
    ledger.tokens.add(made)
    return text


def made(people: Client, ledger: Ledger, found: Promotion, **body: object) -> str:
    answer = people.call(
        "POST", f"/promotions/{found.id}/links", token=bearer(ledger), json=body or None
    )
    assert answer.status == 201, answer.body
    assert answer.json()["actor"] == "cy"
    url: str = answer.json()["url"]
    assert url.startswith(f"{URL}/approve/v1.")
    return url.removeprefix(URL)


def press(people: Client, path: str, form: bytes = b"comment=looks+good") -> Answer:
    kind = {"content-type": "application/x-www-form-urlencoded"}
    return people.send(Call("POST", path, {"host": "127.0.0.1"} | kind, form))


def test_a_link_asks_changes_nothing_by_being_opened_and_approves_once(
    people: Client, ledger: Ledger
) -> None:
    found = promotion(ledger, approvals=1)
    path = made(people, ledger, found)
    pages = [people.call("GET", path) for _ in range(3)]
    assert [page.status for page in pages] == [200, 200, 200]
    assert ledger.admissions.approvals(found.id) == ()
    shown = pages[0].body.decode()
    for fact in ("fraud-scorer/1", IMAGE.digest.value, "dee", "as cy", '<form method="post">'):
        assert fact in shown
    done = press(people, path)
    assert (done.status, "cy agrees to" in done.body.decode()) == (200, True)
    (approval,) = ledger.admissions.approvals(found.id)
    assert (approval.actor, approval.comment, approval.image) == ("cy", "looks good", IMAGE.digest)
    for again in (people.call("GET", path), press(people, path)):
        assert again.status == 410
        assert "This link was used." in again.body.decode()
        assert "cy agreed" in again.body.decode()
    assert len(ledger.admissions.approvals(found.id)) == 1
    told = [(event.kind, event.data) for event in ledger.events.of(found.id)]
    kinds = {kind: data for kind, data in told if kind in {"invited", "approved"}}
    assert (kinds["invited"]["actor"], kinds["invited"]["by"]) == ("cy", "cy")
    assert (kinds["approved"]["actor"], kinds["approved"]["by"]) == ("cy", "link")


def test_the_page_loads_nothing_runs_nothing_and_tells_nobody_its_address(
    people: Client, ledger: Ledger
) -> None:
    path = made(people, ledger, promotion(ledger, approvals=1))
    page = people.call("GET", path)
    assert page.headers["referrer-policy"] == "no-referrer"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["content-security-policy"] == "frame-ancestors 'none'"  # the last of two
    policy = asked("A title", [], "A question?").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    for word in (b"<script", b"http:", b"https:", b"//", b"src=", b"style=", b"onclick"):
        assert word not in page.body
    assert path.rpartition("/")[2].encode() not in page.body


def test_what_people_wrote_is_text_on_the_page(people: Client, ledger: Ledger) -> None:
    found = promotion(ledger, approvals=1)
    ledger.promotions.change(found.id, reason='<img src=x onerror="alert(1)">')
    page = people.call("GET", made(people, ledger, found)).body.decode()
    assert "<img" not in page
    assert "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;" in page


def test_neither_log_nor_ledger_holds_a_link(
    people: Client, ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = made(people, ledger, promotion(ledger, approvals=1))
    people.call("GET", path)
    press(people, path)
    press(people, path)
    people.call("GET", path[:-1])
    sealed = path.rpartition("/")[2]
    kept = b"".join(file.read_bytes() for file in tmp_path.glob("laurel.db*"))
    assert b"invited" in kept
    for part in sealed.split(".")[1:]:
        assert part not in caplog.text
        assert part.encode() not in kept


def test_what_is_no_link_is_not_found(people: Client, ledger: Ledger) -> None:
    found = promotion(ledger, approvals=1)
    path = made(people, ledger, found)
    other = new_link("gone", IMAGE.digest, "cy", until=NOW + timedelta(days=1)).sealed(KEY)
    forged = new_link(found.id, IMAGE.digest, "cy", until=NOW + timedelta(days=1)).sealed(b"j" * 32)
    for wrong in (path[:-1], path + "A", "/approve/x", f"/approve/{other}", f"/approve/{forged}"):
        for answer in (people.call("GET", wrong), press(people, wrong)):
            assert answer.status == 404
            assert "no link of this Laurel" in answer.body.decode()
    assert ledger.admissions.approvals(found.id) == ()


def test_a_link_ends_at_its_time(people: Client, ledger: Ledger, world: World) -> None:
    found = promotion(ledger, approvals=1)
    path = made(people, ledger, found, seconds=3600)
    world.now = NOW + timedelta(seconds=3599)
    assert people.call("GET", path).status == 200
    world.now = NOW + timedelta(seconds=3600)
    for answer in (people.call("GET", path), press(people, path)):
        assert answer.status == 410
        assert "This link has ended." in answer.body.decode()
    assert ledger.admissions.approvals(found.id) == ()


def test_a_link_lasts_no_longer_than_what_it_gives(people: Client, ledger: Ledger) -> None:
    found = promotion(ledger, approvals=1)
    made(people, ledger, found, seconds=30 * 86400)
    (told,) = ledger.events.of(found.id, kind="invited")
    assert told.data["until"] == (NOW + timedelta(days=7)).replace(microsecond=0).isoformat()


def test_a_link_ends_with_the_token_that_made_it(people: Client, ledger: Ledger) -> None:
    found = promotion(ledger, approvals=1)
    path = made(people, ledger, found)
    ledger.tokens.revoke("cy", NOW)
    for answer in (people.call("GET", path), press(people, path)):
        assert answer.status == 403
        assert "token of cy" in answer.body.decode()
    bearer(ledger)  # another one of the same name revives no link
    assert press(people, path).status == 403
    assert ledger.admissions.approvals(found.id) == ()


def test_a_link_whose_token_a_restored_ledger_does_not_know_is_none_of_its_own(
    people: Client, ledger: Ledger
) -> None:
    found = promotion(ledger, approvals=1)
    until = NOW + timedelta(days=1)
    unknown = new_link(found.id, IMAGE.digest, "cy", until=until, token="nobody's")
    assert press(people, f"/approve/{unknown.sealed(KEY)}").status == 403


def test_a_link_that_who_owns_the_ledger_made_needs_no_token(
    people: Client, ledger: Ledger
) -> None:
    found = promotion(ledger, approvals=1)
    until = NOW + timedelta(days=1)
    link = new_link(found.id, IMAGE.digest, "grace", until=until)
    assert press(people, f"/approve/{link.sealed(KEY)}", b"").status == 200
    (approval,) = ledger.admissions.approvals(found.id)
    assert (approval.actor, approval.comment) == ("grace", "")


def test_who_asked_gets_no_link_and_could_not_use_one(people: Client, ledger: Ledger) -> None:
    found = promotion(ledger, approvals=1)
    answer = people.call("POST", f"/promotions/{found.id}/links", token=bearer(ledger, "dee"))
    assert (answer.status, "somebody else must" in answer.json()["detail"]) == (409, True)
    until = NOW + timedelta(days=1)
    mine = new_link(found.id, IMAGE.digest, "Dee", until=until).sealed(KEY)
    for answer in (people.call("GET", f"/approve/{mine}"), press(people, f"/approve/{mine}")):
        assert (answer.status, "somebody else must" in answer.body.decode()) == (409, True)
    assert ledger.admissions.approvals(found.id) == ()


def test_another_image_by_now_or_an_end_makes_a_link_useless(
    people: Client, ledger: Ledger
) -> None:
    found = promotion(ledger, approvals=1)
    path = made(people, ledger, found)
    ledger.promotions.change(found.id, image=ImageRef("ml/fraud", Digest.of(b"other")))
    for answer in (people.call("GET", path), press(people, path)):
        assert (answer.status, "not that one" in answer.body.decode()) == (409, True)
    ledger.promotions.change(found.id, image=IMAGE, phase=Phase.ABORTED, ended_at=NOW)
    assert "has ended aborted" in press(people, path).body.decode()
    assert ledger.admissions.approvals(found.id) == ()


@pytest.mark.parametrize("token", ["ada-token", "bob-token"])
def test_an_operator_and_a_reader_make_no_links(people: Client, ledger: Ledger, token: str) -> None:
    found = promotion(ledger, approvals=1)
    answer = people.call("POST", f"/promotions/{found.id}/links", token=token)
    assert (answer.status, "role approver" in answer.json()["detail"]) == (403, True)
    assert ledger.events.of(found.id, kind="invited") == []


def test_an_approver_of_another_service_makes_none(people: Client, ledger: Ledger) -> None:
    found = promotion(ledger, approvals=1)
    token = bearer(ledger, services=frozenset({"churn"}))
    assert people.call("POST", f"/promotions/{found.id}/links", token=token).status == 403


def test_only_a_token_that_can_be_revoked_makes_a_link(
    ledger: Ledger, config: ReceiverConfig
) -> None:
    found = promotion(ledger, approvals=1)
    (ada, *_others) = config.tokens
    approver = replace(ada.caller, grants=(Grant(frozenset({Role.APPROVER})),))
    tokens = (replace(ada, caller=approver),)
    with Client(create_app(ledger, replace(config, links=LINKS, tokens=tokens))) as people:
        answer = people.call("POST", f"/promotions/{found.id}/links", token="ada-token")
    assert (answer.status, "`laurel token create`" in answer.json()["detail"]) == (403, True)


def test_an_unknown_promotion_and_a_strange_duration_get_no_link(
    people: Client, ledger: Ledger
) -> None:
    token = bearer(ledger)
    assert people.call("POST", "/promotions/p/links", token=token).status == 404
    answer = people.call("POST", "/promotions/p/links", token=token, json={"seconds": 1})
    assert answer.status == 422


def test_asking_again_under_the_same_key_keeps_no_link(people: Client, ledger: Ledger) -> None:
    found, token = promotion(ledger, approvals=1), bearer(ledger)
    key = {"idempotency-key": "k"}
    path = f"/promotions/{found.id}/links"
    urls = {people.call("POST", path, token=token, headers=key).json()["url"] for _ in range(2)}
    assert len(urls) == 2
    assert [press(people, url.removeprefix(URL)).status for url in urls] == [200, 200]
    assert len(ledger.admissions.approvals(found.id)) == 1


@pytest.mark.parametrize(
    "form", [b"", b"other=1", b"comment=" + b"x" * 5000, b"&".join([b"comment=x"] * 50), b"\xff"]
)
def test_any_form_approves_with_a_comment_of_bounded_length(
    people: Client, ledger: Ledger, form: bytes
) -> None:
    found = promotion(ledger, approvals=1)
    assert press(people, made(people, ledger, found), form).status == 200
    (approval,) = ledger.admissions.approvals(found.id)
    assert len(approval.comment) <= 1000


def test_without_links_or_their_secret_there_are_none(
    client: Client, ledger: Ledger, config: ReceiverConfig
) -> None:
    found, token = promotion(ledger, approvals=1), bearer(ledger)
    assert client.call("POST", f"/promotions/{found.id}/links", token=token).status == 404

    def unwritable() -> bytes:
        raise ConfigurationError("approvals.secret cannot be made: Read-only file system")

    links = Links(URL, lambda: None, unwritable)
    with Client(create_app(ledger, replace(config, links=links))) as people:
        answer = people.call("POST", f"/promotions/{found.id}/links", token=token)
        assert (answer.status, "secret" in answer.json()["detail"]) == (503, True)
        assert people.call("GET", "/approve/v1.a.b").status == 404
    assert ledger.events.of(found.id, kind="invited") == []


def test_who_is_refused_in_the_last_moment_is_told_why(
    people: Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = promotion(ledger, approvals=1)
    path = made(people, ledger, found)
    agree = ledger.admissions.approve

    def ended_meanwhile(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - passed on
        ledger.promotions.change(found.id, phase=Phase.ABORTED, ended_at=NOW)
        return agree(*args, **kwargs)

    monkeypatch.setattr(ledger.admissions, "approve", ended_meanwhile)
    answer = press(people, path)
    assert (answer.status, "has ended aborted" in answer.body.decode()) == (409, True)
