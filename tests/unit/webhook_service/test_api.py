"""The API as tools use it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from pipeline.domain.promotion import (
    ControlKind,
    Kind,
    Phase,
    Promotion,
    Trigger,
    TriggerKind,
    Waiting,
)
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.domain.serving import Hold, Readiness, Revision, ServiceState
from pipeline.ledger import Ledger, new_id
from tests.fakes.asgi import Client
from tests.fakes.mlflow_webhook import NOW, alias_event, deliver
from tests.unit.webhook_service.conftest import SERVICES, World
from webhook_service.app import create_app
from webhook_service.config import ReceiverConfig

ADA, BOB = "ada-token", "bob-token"


def image(version: int) -> ImageRef:
    return ImageRef("ml/fraud", Digest(f"sha256:{version:064x}"))


def promoted(
    ledger: Ledger, version: int, phase: Phase = Phase.SUCCEEDED, before: int | None = None
) -> Promotion:
    """Let a promotion of ``fraud`` be accepted and, unless it is open, end."""
    draft = Promotion(
        id=new_id(),
        sequence=0,
        service="fraud",
        kind=Kind.PROMOTION,
        phase=Phase.PENDING,
        plan=SERVICES["fraud"],
        model=ModelVersion("fraud-scorer", version),
        trigger=Trigger(TriggerKind.WEBHOOK, "mlflow:champion", NOW, "d-1"),
        created_at=NOW,
        alias="champion",
    )
    accepted = ledger.promotions.accept(draft)
    return ledger.promotions.change(
        accepted.id,
        phase=phase,
        image=image(version),
        previous_image=None if before is None else image(before),
    )


# who may what


CALLS: list[tuple[str, str, object]] = [
    ("GET", "/promotions", None),
    ("GET", "/promotions/p", None),
    ("GET", "/promotions/p/events", None),
    ("GET", "/promotions/p/approvals", None),
    ("GET", "/services", None),
    ("GET", "/services/fraud", None),
    ("GET", "/services/fraud/history", None),
]
CHANGES: list[tuple[str, str, object]] = [
    ("POST", "/promotions", {"model": "fraud-scorer", "version": "1"}),
    ("POST", "/promotions/p/abort", None),
    ("POST", "/promotions/p/retry", None),
    ("POST", "/promotions/p/pause", None),
    ("POST", "/promotions/p/resume", None),
    ("POST", "/promotions/p/complete", None),
    ("POST", "/services/fraud/rollback", None),
    ("PUT", "/services/fraud/hold", {"reason": "r"}),
    ("DELETE", "/services/fraud/hold", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS + CHANGES)
@pytest.mark.parametrize("token", [None, "", "wrong", "ada", "ada-token2"])
def test_nothing_is_shown_or_changed_without_a_token(
    client: Client, ledger: Ledger, method: str, path: str, body: object, token: str | None
) -> None:
    answer = client.call(method, path, token=token, json=body)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"
    assert ledger.promotions.page().items == ()
    assert ledger.holds.get("fraud") is None


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_a_reader_changes_nothing(
    client: Client, ledger: Ledger, method: str, path: str, body: object
) -> None:
    assert client.call(method, path, token=BOB, json=body).status == 403
    assert ledger.promotions.page().items == ()
    assert ledger.holds.get("fraud") is None


def test_another_scheme_than_bearer_is_no_token(client: Client) -> None:
    answer = client.call("GET", "/promotions", headers={"authorization": f"Basic {ADA}"})
    assert answer.status == 401


# POST /promotions


def ask(client: Client, **body: object) -> Any:  # noqa: ANN401 - JSON
    return client.call("POST", "/promotions", token=ADA, json=body)


def test_a_promotion_by_version_is_recorded_and_pointed_at(
    client: Client, ledger: Ledger, world: World
) -> None:
    answer = ask(
        client, model="fraud-scorer", version="07", service="fraud", reason="because", rebuild=True
    )
    assert answer.status == 202
    [item] = answer.json()["items"]
    assert answer.headers["location"] == f"/promotions/{item['id']}"
    recorded = ledger.promotions.get(item["id"])
    assert recorded is not None
    assert recorded.model == ModelVersion("fraud-scorer", 7)
    assert (recorded.alias, recorded.rebuild, recorded.reason) == (None, True, "because")
    assert recorded.trigger == Trigger(TriggerKind.API, "ada", world.now)
    assert recorded.plan == SERVICES["fraud"]
    assert world.woken == 1
    assert item["model"]["version"] == 7


def test_a_promotion_by_alias_has_no_version_until_the_alias_was_read(
    client: Client, ledger: Ledger
) -> None:
    answer = ask(client, model="fraud-scorer", alias="champion", service="fraud-eu")
    [item] = answer.json()["items"]
    recorded = ledger.promotions.get(item["id"])
    assert recorded is not None
    assert recorded.model == ModelVersion("fraud-scorer", 0, "eu")
    assert item["model"] == {
        "name": "fraud-scorer",
        "version": None,
        "alias": "champion",
        "workspace": "eu",
        "run_id": None,
        "model_id": None,
        "source": None,
    }


def test_an_image_is_promoted_as_it_is_where_its_service_s_images_are(
    client: Client, ledger: Ledger
) -> None:
    digest = image(7).digest
    answer = ask(client, image=str(digest), service="fraud")
    [item] = answer.json()["items"]
    recorded = ledger.promotions.get(item["id"])
    assert recorded is not None
    assert recorded.target == ImageRef("fraud-scorer", digest)
    assert (recorded.kind, recorded.model.version) == (Kind.PROMOTION, 0)
    by_model = ask(client, image=str(digest), model="fraud-scorer").json()["items"]
    assert sorted(p["service"] for p in by_model) == ["fraud", "fraud-eu", "fraud-stage"]
    assert ask(client, image=str(digest), service="unknown").status == 404


def test_without_a_service_all_that_watch_the_model_are_promoted(client: Client) -> None:
    by_version = ask(client, model="fraud-scorer", version=3).json()["items"]
    assert sorted(p["service"] for p in by_version) == ["fraud", "fraud-eu", "fraud-stage"]
    by_alias = ask(client, model="fraud-scorer", alias="champion").json()["items"]
    assert sorted(p["service"] for p in by_alias) == ["fraud", "fraud-eu"]


@pytest.mark.parametrize(
    "body",
    [
        {"model": "nobody", "version": 1},
        {"model": "fraud-scorer", "alias": "Champion"},
        {"model": "fraud-scorer", "version": 1, "service": "churn"},
        {"model": "fraud-scorer", "version": 1, "service": "unknown"},
    ],
)
def test_what_nobody_serves_is_not_found_and_the_services_are_named(
    client: Client, ledger: Ledger, body: dict[str, object]
) -> None:
    answer = ask(client, **body)
    assert answer.status == 404
    assert "fraud-stage (fraud-scorer@candidate)" in answer.json()["detail"]
    assert ledger.promotions.page().items == ()


def test_without_services_that_is_what_is_said(client_without_services: Client) -> None:
    answer = ask(client_without_services, model="fraud-scorer", version=1)
    assert "lists no service" in answer.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {"model": "fraud-scorer"},
        {"model": "fraud-scorer", "version": 1, "alias": "champion"},
        {"version": 1, "service": "fraud"},
        {"image": f"sha256:{'a' * 64}"},
        {"image": f"sha256:{'a' * 64}", "service": "fraud", "rebuild": True},
        {"image": f"sha256:{'a' * 64}", "service": "fraud", "version": 1},
        {"model": "fraud-scorer", "version": 0},
        {"model": "fraud-scorer", "version": "latest"},
        {"model": "fraud-scorer", "version": True},
        {"model": "fraud-scorer", "version": 1.0},
        {"model": 7, "version": 1},
        {"model": "", "version": 1},
        {"model": "fraud-scorer", "version": 1, "rebuild": "yes"},
        {"model": "fraud-scorer", "version": 1, "reson": "a key with a slip"},
        {"model": "fraud-scorer", "version": 1, "reason": "x" * 1001},
        ["fraud-scorer"],
        None,
    ],
    ids=str,
)
def test_a_request_that_cannot_be_understood_is_told_where(
    client: Client, ledger: Ledger, body: object
) -> None:
    answer = client.call("POST", "/promotions", token=ADA, json=body)
    assert answer.status == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "body" in answer.json()["detail"]
    assert ledger.promotions.page().items == ()


def test_what_is_no_json_or_too_large_is_a_problem(client: Client) -> None:
    call = replace(deliver(b"{", authorization=f"Bearer {ADA}"), path="/promotions")
    assert client.send(call).status == 422
    assert client.send(replace(call, body=b" " * (1 << 20) + b"{}")).status == 413


# GET /promotions


def test_promotions_are_listed_newest_first_page_by_page(client: Client, ledger: Ledger) -> None:
    made = [promoted(ledger, version).id for version in range(1, 6)]
    first = client.call("GET", "/promotions?limit=2", token=BOB).json()
    rest = client.call("GET", f"/promotions?limit=9&cursor={first['next']}", token=BOB).json()
    listed = [item["id"] for item in first["items"] + rest["items"]]
    assert listed == sorted(made, reverse=True)
    assert rest["next"] is None


def test_promotions_are_filtered_by_service_and_phase(client: Client, ledger: Ledger) -> None:
    promoted(ledger, 1)
    failed = promoted(ledger, 2, Phase.FAILED)
    found = client.call("GET", "/promotions?service=fraud&phase=failed", token=BOB).json()
    assert [item["id"] for item in found["items"]] == [failed.id]
    assert client.call("GET", "/promotions?service=churn", token=BOB).json()["items"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "phase=broken"])
def test_a_list_that_cannot_be_had_is_told_why(client: Client, query: str) -> None:
    answer = client.call("GET", f"/promotions?{query}", token=BOB)
    assert answer.status == 422
    assert "query" in answer.json()["detail"]


def test_a_promotion_tells_its_steps_and_its_canary(client: Client, ledger: Ledger) -> None:
    made = promoted(ledger, 2, Phase.RUNNING, before=1)
    ledger.promotions.change(made.id, waiting=Waiting("traffic", NOW))
    at = iter(NOW + timedelta(seconds=n) for n in range(20))

    def note(kind: str, **data: object) -> None:
        ledger.events.append(made.id, next(at), kind, data)

    def look(percent: int, verdict: str, canary: int) -> None:
        note(
            "look",
            percent=percent,
            started_at=NOW.isoformat(),
            verdict=verdict,
            samples={"stable": 100, "canary": canary},
            metrics={"errors": {"log_e": 0.5}},
            state={"only": "for a restart"},
        )

    note("step_started", name="resolve", attempt=1)
    note("step_started", name="resolve", attempt=2)
    note("step_ended", name="resolve", phase="succeeded", evidence={"run_id": "r"})
    note("step_started", name="verify", attempt=1)
    note("step_ended", name="verify", phase="succeeded", evidence={})
    note("step_started", name="verify", attempt=2)
    look(10, "hold", 3)
    look(10, "pass", 12)
    look(25, "hold", 4)
    note("warning", reason="the example had no values")
    shown = client.call("GET", f"/promotions/{made.id}", token=BOB).json()
    assert shown["steps"] == [
        {
            "name": "resolve",
            "phase": "succeeded",
            "attempts": 2,
            "started_at": "2026-11-20T18:00:00Z",
            "ended_at": "2026-11-20T18:00:02Z",
            "evidence": {"run_id": "r"},
        },
        {
            "name": "verify",
            "phase": "running",
            "attempts": 2,
            "started_at": "2026-11-20T18:00:03Z",
            "ended_at": None,
            "evidence": {},
        },
    ]
    assert [(c["percent"], c["verdict"], c["samples"]["canary"]) for c in shown["canary"]] == [
        (10, "pass", 12),
        (25, "hold", 4),
    ]
    assert shown["waiting"] == {"for": "traffic", "since": "2026-11-20T18:00:00Z", "until": None}
    assert shown["previous_image"] == str(image(1))
    assert shown["trigger"] == {
        "kind": "webhook",
        "actor": "mlflow:champion",
        "delivery_id": "d-1",
        "at": "2026-11-20T18:00:00Z",
    }
    events = client.call("GET", f"/promotions/{made.id}/events", token=BOB).json()["items"]
    assert [e["kind"] for e in events[:2]] == ["accepted", "step_started"]
    assert events[-1]["data"] == {"reason": "the example had no values"}
    assert all("state" not in event["data"] for event in events)
    after = client.call("GET", f"/promotions/{made.id}/events?after={events[-2]['id']}", token=BOB)
    assert after.json()["items"] == events[-1:]


def test_a_promotion_has_exactly_the_promised_fields(client: Client, ledger: Ledger) -> None:
    shown = client.call("GET", f"/promotions/{promoted(ledger, 1).id}", token=BOB).json()
    promised = (
        "id sequence kind phase reason service model trigger image previous_image artifact_digest "
        "lock_digest base_digest key_id steps canary created_at ended_at waiting"
    )
    assert set(promised.split()) <= set(shown)


@pytest.mark.parametrize("path", ["", "/events"])
def test_an_unknown_promotion_is_not_found(client: Client, path: str) -> None:
    assert client.call("GET", f"/promotions/nobody{path}", token=BOB).status == 404


# abort, retry


def test_an_open_promotion_is_aborted_by_name(client: Client, ledger: Ledger, world: World) -> None:
    made = promoted(ledger, 1, Phase.RUNNING)
    answer = client.call(
        "POST", f"/promotions/{made.id}/abort", token=ADA, json={"reason": "looks wrong"}
    )
    assert answer.status == 202
    control = ledger.controls.first(made.id)
    assert control is not None
    assert (control.kind, control.actor) == (ControlKind.ABORT, "ada")
    assert control.reason == "looks wrong"
    assert world.woken == 1


def test_an_abort_needs_no_reason(client: Client, ledger: Ledger) -> None:
    made = promoted(ledger, 1, Phase.PENDING)
    assert client.call("POST", f"/promotions/{made.id}/abort", token=ADA).status == 202
    control = ledger.controls.first(made.id)
    assert control is not None
    assert control.reason == "aborted by ada"


@pytest.mark.parametrize("phase", [p for p in Phase if p.ended])
def test_an_ended_promotion_cannot_be_aborted(client: Client, ledger: Ledger, phase: Phase) -> None:
    made = promoted(ledger, 1, phase)
    answer = client.call("POST", f"/promotions/{made.id}/abort", token=ADA)
    assert answer.status == 409
    assert phase.value in answer.json()["detail"]
    assert ledger.controls.first(made.id) is None


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.ERRORED, Phase.ABORTED, Phase.SUPERSEDED])
def test_a_bad_end_is_retried_as_a_new_promotion(
    client: Client, ledger: Ledger, phase: Phase
) -> None:
    made = promoted(ledger, 7, phase)
    answer = client.call("POST", f"/promotions/{made.id}/retry", token=ADA)
    assert answer.status == 202
    again = ledger.promotions.get(answer.json()["id"])
    assert again is not None
    assert answer.headers["location"] == f"/promotions/{again.id}"
    assert (again.retry_of, again.model, again.alias) == (made.id, made.model, "champion")
    assert (again.phase, again.sequence) == (Phase.PENDING, 2)
    assert again.trigger.actor == "ada"
    assert again.image is None


def test_a_rollback_that_is_retried_holds_its_service_again(client: Client, ledger: Ledger) -> None:
    promoted(ledger, 1)
    promoted(ledger, 2, before=1)
    first = roll_back(client).json()["id"]
    ledger.promotions.change(first, phase=Phase.ERRORED)
    ledger.holds.release("fraud", actor="ada", at=NOW)
    answer = client.call("POST", f"/promotions/{first}/retry", token=ADA)
    assert answer.json()["target"] == str(image(1))
    assert ledger.holds.get("fraud") == Hold("ada", "rollback", NOW, None)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.RUNNING, Phase.SUCCEEDED])
def test_only_a_bad_end_is_retried(client: Client, ledger: Ledger, phase: Phase) -> None:
    made = promoted(ledger, 7, phase)
    answer = client.call("POST", f"/promotions/{made.id}/retry", token=ADA)
    assert answer.status == 409
    assert phase.value in answer.json()["detail"]


def test_nothing_is_retried_for_a_service_that_is_gone(
    client_without_services: Client, ledger: Ledger
) -> None:
    made = promoted(ledger, 7, Phase.FAILED)
    answer = client_without_services.call("POST", f"/promotions/{made.id}/retry", token=ADA)
    assert answer.status == 409


@pytest.mark.parametrize("verb", ["abort", "retry"])
def test_nobody_decides_about_an_unknown_promotion(client: Client, verb: str) -> None:
    assert client.call("POST", f"/promotions/nobody/{verb}", token=ADA).status == 404


# services


def observe(ledger: Ledger, version: int) -> None:
    stable = Revision("fraud-00001", image(version), 90, Readiness.READY, version)
    canary = Revision("fraud-00002", image(version + 1), 10, Readiness.READY, version + 1)
    state = ServiceState("fraud", "http://127.0.0.1:8081", 1, stable, canary)
    ledger.states.observed(state, NOW)


def test_a_service_shows_what_the_worker_last_saw(client: Client, ledger: Ledger) -> None:
    latest = promoted(ledger, 1)
    observe(ledger, 1)
    ledger.holds.set("fraud", Hold("ada", "investigating", NOW))
    shown = client.call("GET", "/services/fraud", token=BOB).json()
    assert shown == {
        "name": "fraud",
        "model": "fraud-scorer",
        "alias": "champion",
        "target": "local",
        "stable": {
            "image": str(image(1)),
            "model_version": 1,
            "revision": "fraud-00001",
            "percent": 90,
        },
        "canary": {
            "image": str(image(2)),
            "model_version": 2,
            "revision": "fraud-00002",
            "percent": 10,
        },
        "hold": {"actor": "ada", "reason": "investigating", "at": "2026-11-20T18:00:00Z"},
        "drift": None,
        "foreign": None,
        "promotion": latest.id,
        "url": "http://127.0.0.1:8081",
        "observed_at": "2026-11-20T18:00:00Z",
    }


def test_a_service_shows_what_was_changed_by_hand_and_what_laurel_did_not_make(
    client: Client, ledger: Ledger
) -> None:
    drift, foreign = "somebody set the percent to 10: put it back", "model: sklearn from s3://b"
    state = ServiceState("fraud", "http://127.0.0.1:8081", foreign=foreign, drift=drift)
    ledger.states.observed(state, NOW)
    shown = client.call("GET", "/services/fraud", token=BOB).json()
    assert (shown["drift"], shown["foreign"]) == (drift, foreign)


def test_a_service_that_serves_nothing_has_no_revisions(client: Client, ledger: Ledger) -> None:
    ledger.states.observed(ServiceState("fraud", "http://127.0.0.1:8081"), NOW)
    shown = client.call("GET", "/services/fraud", token=BOB).json()
    assert (shown["stable"], shown["canary"]) == (None, None)
    assert shown["url"] == "http://127.0.0.1:8081"


def test_every_service_is_listed_even_if_nothing_was_ever_seen(client: Client) -> None:
    listed = client.call("GET", "/services", token=BOB).json()
    assert [item["name"] for item in listed["items"]] == sorted(SERVICES)
    assert listed["items"][0]["stable"] is None
    assert listed["items"][0]["promotion"] is None
    assert listed["next"] is None


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/services/nobody", None),
        ("POST", "/services/nobody/rollback", None),
        ("PUT", "/services/nobody/hold", {"reason": ""}),
        ("DELETE", "/services/nobody/hold", None),
    ],
)
def test_an_unknown_service_is_not_found(
    client: Client, method: str, path: str, body: object
) -> None:
    assert client.call(method, path, token=ADA, json=body).status == 404


def test_a_hold_is_set_and_released_by_name(client: Client, ledger: Ledger, world: World) -> None:
    held = client.call("PUT", "/services/fraud/hold", token=ADA, json={"reason": "on call"})
    assert held.status == 200
    assert held.json()["hold"]["actor"] == "ada"
    assert ledger.holds.get("fraud") == Hold("ada", "on call", NOW, None)
    assert world.woken == 1
    for _ in range(2):
        assert client.call("DELETE", "/services/fraud/hold", token=ADA).json()["hold"] is None
    assert ledger.holds.get("fraud") is None


def test_a_release_says_why_in_the_history(client: Client, ledger: Ledger) -> None:
    ledger.holds.set("fraud", Hold("ada", "on call", NOW, None))
    path = "/services/fraud/hold?reason="
    assert client.call("DELETE", path + "x" * 1001, token=ADA).status == 422
    assert client.call("DELETE", path + "the%20audit%20is%20over", token=ADA).status == 200
    *_, released = ledger.history.entries("fraud")
    assert released.data == {"actor": "ada", "reason": "the audit is over"}


# rollback


def roll_back(client: Client, **body: object) -> Any:  # noqa: ANN401 - JSON
    return client.call("POST", "/services/fraud/rollback", token=ADA, json=body or None)


def test_a_rollback_returns_to_the_previous_digest_and_holds_the_service(
    client: Client, ledger: Ledger, world: World
) -> None:
    promoted(ledger, 1)
    promoted(ledger, 2, before=1)
    answer = roll_back(client, reason="errors")
    assert answer.status == 202
    made = ledger.promotions.get(answer.json()["id"])
    assert made is not None
    assert answer.headers["location"] == f"/promotions/{made.id}"
    assert (made.kind, made.target) == (Kind.ROLLBACK, image(1))
    assert made.model == ModelVersion("fraud-scorer", 1)
    assert made.trigger == Trigger(TriggerKind.ROLLBACK, "ada", world.now)
    assert made.reason == "errors"
    assert ledger.holds.get("fraud") == Hold("ada", "errors", NOW, None)
    assert world.woken == 1


def test_a_rollback_of_what_is_in_flight_ends_it_and_keeps_stable(
    client: Client, ledger: Ledger
) -> None:
    promoted(ledger, 1)
    running = promoted(ledger, 2, Phase.RUNNING, before=1)
    answer = roll_back(client)
    assert answer.json()["target"] == str(image(1))
    control = ledger.controls.first(running.id)
    assert control is not None
    assert control.kind is ControlKind.SUPERSEDE


def test_a_rollback_asked_for_twice_is_done_once(client: Client, ledger: Ledger) -> None:
    promoted(ledger, 1)
    promoted(ledger, 2, before=1)
    first = roll_back(client)
    again = roll_back(client)
    assert (first.status, again.status) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["location"] == first.headers["location"]


def test_a_rollback_with_nothing_before_names_what_would_do(client: Client, ledger: Ledger) -> None:
    promoted(ledger, 1)
    answer = roll_back(client)
    assert answer.status == 409
    assert "Digests that would do: none." in answer.json()["detail"]
    promoted(ledger, 2, before=1)
    answer = roll_back(client, to="9")
    assert answer.status == 409
    assert str(image(1).digest) in answer.json()["detail"]
    assert ledger.holds.get("fraud") is None


@pytest.mark.parametrize("to", ["-2", "1", str(image(1).digest)])
def test_a_rollback_goes_deeper_only_when_told(client: Client, ledger: Ledger, to: str) -> None:
    for version in (1, 2, 3):
        promoted(ledger, version, before=version - 1 or None)
    assert roll_back(client, to=to).json()["target"] == str(image(1))


@pytest.mark.parametrize("body", [{"to": "latest"}, {"if_serving": "sha256:1"}, {"too": "1"}])
def test_a_rollback_to_nowhere_is_told_so(
    client: Client, ledger: Ledger, body: dict[str, object]
) -> None:
    promoted(ledger, 1)
    assert roll_back(client, **body).status == 422


def test_a_rollback_happens_only_if_that_still_serves(client: Client, ledger: Ledger) -> None:
    nothing = roll_back(client, if_serving=str(image(2).digest))
    assert nothing.status == 409
    assert "serves nothing now" in nothing.json()["detail"]
    promoted(ledger, 1)
    promoted(ledger, 2, before=1)
    ledger.states.observed(ServiceState("fraud", ""), NOW)
    assert roll_back(client, if_serving=str(image(1).digest)).status == 409
    observe(ledger, 1)
    answer = roll_back(client, if_serving=str(image(2).digest))
    assert answer.status == 409
    assert str(image(1).digest) in answer.json()["detail"]
    assert roll_back(client, if_serving=str(image(1).digest)).status == 202


# operation


def test_it_is_live_and_ready(client: Client) -> None:
    assert client.call("GET", "/health/live").json() == {"status": "live"}
    assert client.call("GET", "/health/ready").json() == {"status": "ready"}


def test_it_is_not_ready_on_another_schema(ledger: Ledger, config: ReceiverConfig) -> None:
    with ledger.database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")
    with Client(create_app(ledger, config)) as client:
        answer = client.call("GET", "/health/ready")
    assert answer.status == 503
    assert "laurel migrate" in answer.json()["detail"]


def test_metrics_count_deliveries_refusals_and_promotions(client: Client, ledger: Ledger) -> None:
    client.send(deliver(alias_event()))
    ledger.deliveries.count_refused("age", 2)
    promoted(ledger, 1)
    answer = client.call("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.body.decode().splitlines()
    assert 'laurel_deliveries{outcome="waiting"} 1' in lines
    assert 'laurel_refused_deliveries{reason="age"} 2' in lines
    assert 'laurel_promotions{phase="succeeded"} 1' in lines


def test_the_api_is_documented(client: Client) -> None:
    schema = client.call("GET", "/openapi.json").json()
    assert "/webhooks/mlflow" in schema["paths"]
    assert client.call("GET", "/docs").status == 200
