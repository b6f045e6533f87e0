"""The history that an auditor asks for: what served when, and the chain that vouches for it."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest

from pipeline.domain.chain import Entry, verify_chain
from pipeline.domain.export import read_entries
from pipeline.domain.promotion import Phase
from pipeline.domain.serving import Hold
from pipeline.ledger import Ledger
from tests.fakes.asgi import Answer, Client
from tests.fakes.mlflow_webhook import NOW
from tests.unit.webhook_service.conftest import World
from tests.unit.webhook_service.test_api import BOB, image, promoted

FRAUD = "/services/fraud/history"


def asked(client: Client, query: str = "") -> dict[str, Any]:
    answer = client.call("GET", FRAUD + query, token=BOB)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json()
    return found


def exported(client: Client, kind: str, query: str = "") -> Answer:
    return client.call("GET", FRAUD + query, token=BOB, headers={"accept": kind})


def at(minutes: int) -> str:
    return (NOW + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def run(ledger: Ledger, version: int, minutes: int, before: int | None = None) -> str:
    """Let a promotion run as far as its end, ``minutes`` after the start."""
    made = promoted(ledger, version, Phase.RUNNING, before)
    look = {"percent": 25, "verdict": "pass", "state": {"only": "for a restart"}}
    ledger.events.append(made.id, NOW + timedelta(minutes=minutes - 1), "look", look)
    ended = NOW + timedelta(minutes=minutes)
    ledger.promotions.change(made.id, phase=Phase.SUCCEEDED, ended_at=ended, key_id="k")
    return made.id


def test_a_history_tells_what_served_the_latest_first(client: Client, ledger: Ledger) -> None:
    first, second = run(ledger, 1, 5), run(ledger, 2, 9, before=1)
    found = asked(client)
    assert [(each["model"], each["since"], each["until"]) for each in found["served"]] == [
        ("fraud-scorer/2", at(9), None),
        ("fraud-scorer/1", at(5), at(9)),
    ]
    latest = found["served"][0]
    assert latest == {
        "image": str(image(2)),
        "model": "fraud-scorer/2",
        "since": at(9),
        "until": None,
        "promotion": second,
        "kind": "promotion",
        "why": "@champion named fraud-scorer/2",
        "actor": "mlflow:champion",
        "trigger": "webhook",
        "approved_by": [],
        "evidence": {"key_id": "k"},
    }
    assert found["head"] == {"number": 6, "hash": found["items"][-1]["hash"]}
    assert [item["promotion"] for item in found["items"]] == [first] * 3 + [second] * 3
    assert found["next"] is None


def test_a_moment_has_what_served_its_canary_its_hold_and_the_evidence(
    client: Client, ledger: Ledger, world: World
) -> None:
    first = run(ledger, 1, 5)
    ledger.holds.set("fraud", Hold("ada", "an audit", NOW + timedelta(minutes=6), 1))
    second = run(ledger, 2, 9, before=1)
    then = asked(client, f"?at={at(8)}")
    assert [each["promotion"] for each in then["served"]] == [first]
    assert [item["kind"] for item in then["items"]] == ["accepted", "look", "ended"]
    assert {item["promotion"] for item in then["items"]} == {first}
    assert then["canary"] == {"image": None, "model": None, "percent": 25, "promotion": second}
    assert then["hold"] == {"actor": "ada", "reason": "an audit", "since": at(6)}
    assert then["at"] == at(8)
    before = asked(client, f"?at={at(1)}")
    assert (before["served"], before["items"], before["hold"]) == ([], [], None)
    world.now = NOW + timedelta(hours=1)
    now = asked(client)
    assert (now["at"], now["canary"], now["hold"]["actor"]) == (at(60), None, "ada")


@pytest.mark.parametrize("moment", ["2026-11-20T18:08:00", "2026-11-20T19:08:00%2B01:00"])
def test_a_moment_without_an_offset_is_utc(client: Client, ledger: Ledger, moment: str) -> None:
    first = run(ledger, 1, 5)
    then = asked(client, f"?at={moment}")
    assert then["at"] == "2026-11-20T18:08:00Z"
    assert [each["promotion"] for each in then["served"]] == [first]


def test_what_the_target_told_of_has_no_entries(client: Client, ledger: Ledger) -> None:
    run(ledger, 2, 5, before=1)
    then = asked(client, f"?at={at(1)}")
    assert [each["image"] for each in then["served"]] == [str(image(1))]
    assert then["served"][0]["since"] is None
    assert then["items"] == []


def test_entries_come_in_pages(client: Client, ledger: Ledger) -> None:
    for version in range(1, 4):
        run(ledger, version, version)
    first = asked(client, "?limit=4")
    assert [item["number"] for item in first["items"]] == [1, 2, 3, 4]
    rest = asked(client, f"?limit=1000000&after={first['next']}")
    assert [item["number"] for item in rest["items"]] == [5, 6, 7, 8, 9]
    assert rest["next"] is None
    entries = [Entry(**item) for item in first["items"] + rest["items"]]
    assert verify_chain(entries, "fraud") == ledger.history.head("fraud")


def test_json_lines_are_the_whole_chain(client: Client, ledger: Ledger) -> None:
    run(ledger, 1, 5)
    ledger.holds.set("fraud", Hold("ada", "an audit", NOW))
    answer = exported(client, "application/x-ndjson")
    assert answer.headers["content-type"] == "application/x-ndjson"
    entries = list(read_entries([answer.body]))
    assert verify_chain(entries, "fraud") == ledger.history.head("fraud")
    assert [json.loads(line)["kind"] for line in answer.body.splitlines()] == [
        *("accepted", "look", "ended", "held"),
    ]
    part = exported(client, "text/html, application/x-ndjson;q=0.9", "?after=1&limit=2")
    assert [entry.number for entry in read_entries([part.body])] == [2, 3]


def test_csv_is_the_whole_chain(client: Client, ledger: Ledger) -> None:
    run(ledger, 1, 5)
    answer = exported(client, "text/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert [row["kind"] for row in rows] == ["accepted", "look", "ended"]
    entries = read_entries([answer.body])
    assert verify_chain(entries, "fraud") == ledger.history.head("fraud")


def test_an_export_of_a_moment_is_refused(client: Client) -> None:
    answer = exported(client, "text/csv", f"?at={at(0)}")
    assert answer.status == 422
    assert "leave out `at`" in answer.json()["detail"]


def test_a_service_without_a_history_has_an_empty_one(client: Client) -> None:
    found = asked(client)
    assert (found["head"]["number"], found["served"], found["items"]) == (0, [], [])
    assert exported(client, "application/x-ndjson").body == b""


def test_the_history_of_a_service_that_was_removed_stays(
    client_without_services: Client, ledger: Ledger
) -> None:
    run(ledger, 1, 5)
    assert len(asked(client_without_services)["served"]) == 1


@pytest.mark.parametrize("kind", ["application/json", "text/csv"])
def test_a_service_that_never_was_has_no_history(client: Client, kind: str) -> None:
    answer = client.call("GET", "/services/nobody/history", token=BOB, headers={"accept": kind})
    assert answer.status == 404
    assert "fraud-stage" in answer.json()["detail"]


@pytest.mark.parametrize("query", ["at=yesterday", "after=-1", "limit=0", "limit=x"])
def test_a_history_that_cannot_be_had_is_told_why(client: Client, query: str) -> None:
    answer = client.call("GET", f"{FRAUD}?{query}", token=BOB)
    assert answer.status == 422
    assert "query" in answer.json()["detail"]
