"""What is typed once is done once: answers swallowed, gateways away, servers killed in between."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import again, main
from pipeline.cli.again import Again
from pipeline.cli.client import Client
from pipeline.domain.access import Grant, Role
from pipeline.domain.evidence import Refused
from pipeline.domain.promotion import Kind, Phase
from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.ledger import new_token
from tests.integration.receivers import installed, receive, running
from tests.servers.fault_proxy import FaultProxy, fault_proxy
from tests.servers.faults import Answer, Swallow
from tests.servers.laurel import Laurel
from tests.unit.webhook_service.test_api import promoted


class Person:
    """Types with a token that may do everything, and hears what is told meanwhile."""

    def __init__(self, laurel: Laurel) -> None:
        grant = Grant(frozenset({Role.OPERATOR, Role.APPROVER}))
        self.token, made = new_token("ada", grant, datetime.now(UTC), None)
        laurel.ledger.tokens.add(made)
        self.told: list[str] = []
        self.slept: list[float] = []

    def client(self, url: str, meanwhile: Callable[[], object] = str) -> Client:
        def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            meanwhile()

        return Client(url, self.token, Again(self.told.append, sleep=sleep))


@pytest.fixture
def laurel(tmp_path: Path) -> Iterator[Laurel]:
    """Lend a Laurel whose service served two versions; nothing runs yet."""
    laurel = installed(tmp_path)
    promoted(laurel.ledger, 1)
    promoted(laurel.ledger, 2, before=1)
    yield laurel
    laurel.down()


@pytest.fixture
def ada(laurel: Laurel) -> Person:
    return Person(laurel)


@pytest.fixture
def proxy(laurel: Laurel) -> Iterator[FaultProxy]:
    receive(laurel)
    with fault_proxy(f"127.0.0.1:{laurel.settings.server.port}") as proxy:
        yield proxy


def kinds(laurel: Laurel) -> list[str]:
    return [entry.kind for entry in laurel.ledger.history.entries("fraud")]


def test_changes_whose_answers_are_swallowed_are_made_once_and_answered(
    laurel: Laurel, proxy: FaultProxy, ada: Person
) -> None:
    found = running(laurel, 3, approvals=2)
    proxy.fault(Swallow(), "POST|PUT|DELETE", nth=range(1, 99, 2))
    told = kinds(laurel)
    verbs = ("approve", "pause", "resume", "abort")
    with ada.client(proxy.url) as client:
        for verb in verbs:
            answer = client.change("POST", "promotions", found.id, verb, body={})
            assert not isinstance(answer, Refused), verb
        held = client.change("PUT", "services", "fraud", "hold", body={"reason": "audit"})
        assert held["hold"]["reason"] == "audit"
        gone = client.change("DELETE", "services", "fraud", "hold", reason="it is over")
        assert gone["hold"] is None
        back = client.change("POST", "services", "fraud", "rollback", body={"to": "1"})
    assert [each.id for each in laurel.promotions() if each.kind is Kind.ROLLBACK] == [back["id"]]
    new = kinds(laurel)[len(told) :]
    made = [new.count(kind) for kind in ("approved", "controlled", "released")]
    assert made == [1, 4, 1]  # pause, resume, abort, and what the rollback superseded
    changes = proxy.heard("POST|PUT|DELETE")
    keys = [change.headers["idempotency-key"] for change in changes]
    assert len(keys) == 14
    assert len(set(keys)) == 7
    assert keys[::2] == keys[1::2]
    assert len(ada.told) == 7
    assert "broke off" in ada.told[0]
    assert "asking again in 0.5 s" in ada.told[0]


def test_who_types_is_told_on_stderr_and_gets_the_result_alone_on_stdout(
    laurel: Laurel, proxy: FaultProxy, ada: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "WAITS", (0.0, 0.0))
    monkeypatch.setenv("LAUREL_TOKEN", ada.token)
    proxy.fault(Swallow(), "POST", nth=1)
    verb = ["rollback", "fraud", "--to", "1", "--json", "--server", proxy.url]
    typed = CliRunner().invoke(main, verb)
    assert typed.exit_code == 0, typed.stderr
    (back,) = [each for each in laurel.promotions() if each.kind is Kind.ROLLBACK]
    assert json.loads(typed.stdout)["id"] == back.id
    assert "broke off" in typed.stderr
    assert "asking again in 0 s, so that it is done once" in typed.stderr


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_gateway_without_its_server_is_asked_again_as_late_as_it_says(
    laurel: Laurel, proxy: FaultProxy, ada: Person, status: int
) -> None:
    soon, late = Answer(status, {"Retry-After": "3"}, b"<html>"), {"Retry-After": "soon"}
    proxy.fault(soon, "PUT", nth=1)
    proxy.fault(Answer(status, late, b"<html>"), "PUT", nth=2)
    with ada.client(proxy.url) as client:
        held = client.change("PUT", "services", "fraud", "hold", body={"reason": "audit"})
    assert held["hold"]["actor"] == "ada"
    assert ada.slept == [3.0, 1.0]
    assert f"answers {status}" in ada.told[0]
    assert kinds(laurel).count("held") == 1


def test_a_server_that_stays_away_is_given_up_with_what_it_said_last(
    laurel: Laurel, proxy: FaultProxy, ada: Person
) -> None:
    proxy.fault(Answer(503, {"Retry-After": "9999"}, b'{"detail": "the disk is full"}'), "PUT")
    with (
        ada.client(proxy.url) as client,
        pytest.raises(UnavailableError, match="the disk is full"),
    ):
        client.change("PUT", "services", "fraud", "hold", body={"reason": "audit"})
    assert ada.slept == [30.0] * 5
    assert proxy.count("PUT") == 6
    assert "held" not in kinds(laurel)


def test_where_nobody_ever_answered_nothing_is_asked_again(laurel: Laurel, ada: Person) -> None:
    with ada.client(laurel.url) as client, pytest.raises(ConfigurationError, match="laurel up"):
        client.change("PUT", "services", "fraud", "hold", body={"reason": "audit"})
    assert ada.told == []


def test_a_no_is_an_answer_and_a_second_thought_is_another_change(
    proxy: FaultProxy, laurel: Laurel, ada: Person
) -> None:
    found = running(laurel, 3, approvals=2)
    with ada.client(proxy.url) as client:
        path = ("POST", "promotions", found.id)
        assert client.change(*path, "resume", body={}) == Refused(
            "The promotion stands at running: nobody paused it."
        )
        client.change(*path, "pause", body={})
        twice = client.change(*path, "pause", body={})
    assert twice == Refused("The promotion stands at running: ada paused it already.")
    assert ada.told == []
    assert proxy.count("POST") == 3


@pytest.mark.parametrize("verb", ["pause", "abort", "rollback"])
def test_a_server_killed_between_the_change_and_its_answer_did_it_once(
    laurel: Laurel, ada: Person, verb: str
) -> None:
    found = running(laurel, 3, approvals=2)
    receive(laurel, "accepted")

    def start_again() -> None:
        if len(ada.slept) == 1:
            laurel.died()
        else:  # nobody answered in between
            if verb == "abort":  # it ends before it is asked about again
                ended = {"phase": Phase.ABORTED, "ended_at": found.created_at + timedelta(hours=1)}
                laurel.ledger.promotions.change(found.id, **ended)
            receive(laurel)

    about = ("services", "fraud") if verb == "rollback" else ("promotions", found.id)
    with ada.client(laurel.url, start_again) as client:
        answer = client.change("POST", *about, verb, body={})
    assert not isinstance(answer, Refused)
    assert "nobody answers" in ada.told[1]
    made = kinds(laurel)
    assert made.count("controlled") == 1  # a rollback supersedes what runs
    assert made.count("held") == (1 if verb == "rollback" else 0)
