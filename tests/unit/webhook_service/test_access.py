"""Who may do what over HTTP: the same answer on every route, and a reason with each no."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.domain.access import Caller, Denial, Denied, Grant, Role, SingleUse
from pipeline.domain.promotion import Kind, Phase, Promotion, Trigger, TriggerKind
from pipeline.domain.references import ModelVersion
from pipeline.ledger import Ledger, new_id, new_token
from tests.fakes.asgi import Answer, Client
from tests.fakes.mlflow_webhook import NOW, Call
from tests.unit.webhook_service.conftest import SERVICES, World
from webhook_service.app import create_app
from webhook_service.config import ReceiverConfig

FRAUD = frozenset({"fraud"})
OPEN = {
    *("/health/live", "/health/ready", "/metrics"),
    *("/webhooks/mlflow", "/webhooks/rollback"),
    "/approve/{link}",  # the link is the proof
}
ONCE = SingleUse("a" * 64, NOW + timedelta(minutes=10))
GITHUB = Caller(
    "github:octocat (acme/models)",
    (Grant(frozenset({Role.OPERATOR})),),
    "a token of https://issuer",
    TriggerKind.GITHUB,
    ONCE,
)
PROMOTE = {"model": "churn-model", "alias": "champion"}


def issue(
    ledger: Ledger,
    *roles: Role,
    name: str = "ci",
    services: frozenset[str] | None = None,
    until: timedelta | None = None,
) -> str:
    grant = Grant(frozenset(roles), services)
    text, token = new_token(name, grant, NOW, None if until is None else NOW + until)
    ledger.tokens.add(token)
    return text


def promoted(ledger: Ledger, service: str) -> Promotion:
    plan = SERVICES[service]
    return ledger.promotions.accept(
        Promotion(
            id=new_id(),
            sequence=0,
            service=service,
            kind=Kind.PROMOTION,
            phase=Phase.PENDING,
            plan=plan,
            model=ModelVersion(plan.model, 1),
            trigger=Trigger(TriggerKind.API, "ada", NOW),
            created_at=NOW,
        )
    )


def detail(answer: Answer, status: int) -> str:
    assert answer.status == status, answer.body
    told: str = answer.json()["detail"]
    return told


def test_every_route_but_the_open_ones_asks_who_calls(
    ledger: Ledger, config: ReceiverConfig
) -> None:
    paths = create_app(ledger, config).openapi()["paths"]
    asking = {path for path, calls in paths.items() if all("security" in c for c in calls.values())}
    assert set(paths) - asking == OPEN
    assert {"/services", "/promotions/{promotion}"} <= asking


def test_every_change_asks_for_more_than_a_reader(ledger: Ledger, client: Client) -> None:
    token = issue(ledger, Role.READER, Role.APPROVER)
    promotion = promoted(ledger, "churn").id
    changes = [
        ("POST", "/promotions", PROMOTE),
        ("POST", f"/promotions/{promotion}/abort", None),
        ("POST", f"/promotions/{promotion}/retry", None),
        ("POST", "/services/churn/rollback", None),
        ("PUT", "/services/churn/hold", {"reason": ""}),
        ("DELETE", "/services/churn/hold", None),
    ]
    for method, path, body in changes:
        said = detail(client.call(method, path, token=token, json=body), 403)
        assert said == "This needs the role operator; the token ci has reader and approver."


def test_a_token_of_the_ledger_names_its_bearer_in_the_record(
    ledger: Ledger, client: Client
) -> None:
    token = issue(ledger, Role.OPERATOR)
    answer = client.call("POST", "/promotions", token=token, json=PROMOTE)
    assert answer.status == 202
    assert answer.json()["items"][0]["trigger"]["actor"] == "ci"
    assert answer.json()["items"][0]["trigger"]["kind"] == "api"


def test_a_revoked_token_is_refused_with_the_next_call_and_its_bearer_is_told(
    ledger: Ledger, client: Client
) -> None:
    token = issue(ledger, Role.READER)
    assert client.call("GET", "/services", token=token).status == 200
    ledger.tokens.revoke("ci", NOW)
    answer = client.call("GET", "/services", token=token)
    assert detail(answer, 401) == "The token ci is revoked: `laurel token create` makes one."
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_token_ends_when_it_was_said_to(ledger: Ledger, client: Client, world: World) -> None:
    token = issue(ledger, Role.READER, until=timedelta(hours=1))
    assert client.call("GET", "/services", token=token).status == 200
    world.now = NOW + timedelta(hours=1)
    assert "ci is expired" in detail(client.call("GET", "/services", token=token), 401)


@pytest.mark.parametrize("token", ["laurel_0_0", "a.b.c", "\xff", "ada-token2", "a" * 5000])
def test_a_token_that_nobody_knows_is_answered_alike_and_not_repeated(
    client: Client, token: str
) -> None:
    said = detail(client.call("GET", "/services", token=token), 401)
    assert "set LAUREL_TOKEN" in said
    assert token not in said


@pytest.mark.parametrize("scheme", ["Basic YWRhOmFkYQ==", "Bearer", "", "ada-token"])
def test_another_scheme_is_no_token(client: Client, scheme: str) -> None:
    answer = client.call("GET", "/services", headers={"authorization": scheme})
    assert answer.status == 401


@pytest.fixture
def bound(ledger: Ledger) -> str:
    """Make a token that is for one service."""
    return issue(ledger, Role.OPERATOR, services=FRAUD)


def test_a_token_for_one_service_sees_that_one_alone(
    ledger: Ledger, client: Client, bound: str
) -> None:
    theirs, others = promoted(ledger, "fraud"), promoted(ledger, "churn")
    listed = client.call("GET", "/services", token=bound).json()["items"]
    assert [service["name"] for service in listed] == ["fraud"]
    listed = client.call("GET", "/promotions", token=bound).json()["items"]
    assert [promotion["id"] for promotion in listed] == [theirs.id]
    assert client.call("GET", f"/promotions/{theirs.id}/events", token=bound).status == 200
    for path in (
        "/services/churn",
        "/services/churn/history",
        "/promotions?service=churn",
        f"/promotions/{others.id}",
        f"/promotions/{others.id}/events",
    ):
        said = detail(client.call("GET", path, token=bound), 403)
        assert said == "The token ci may do this to fraud alone."
    assert detail(client.call("GET", f"/promotions/{new_id()}", token=bound), 404)


def test_a_token_for_one_service_changes_that_one_alone(
    ledger: Ledger, client: Client, bound: str
) -> None:
    others = promoted(ledger, "churn")
    held = client.call("PUT", "/services/fraud/hold", token=bound, json={"reason": "mine"})
    assert held.status == 200
    for method, path, body in (
        ("POST", "/promotions", PROMOTE),
        ("POST", f"/promotions/{others.id}/abort", None),
        ("POST", f"/promotions/{others.id}/retry", None),
        ("POST", "/services/churn/rollback", None),
        ("PUT", "/services/churn/hold", {"reason": ""}),
        ("DELETE", "/services/churn/hold", None),
    ):
        said = detail(client.call(method, path, token=bound, json=body), 403)
        assert said == "The token ci may do this to fraud alone."
    assert ledger.controls.first(others.id) is None


def test_a_promotion_of_all_that_watch_a_model_needs_rights_to_all_of_them(
    ledger: Ledger, client: Client, bound: str
) -> None:
    body = {"model": "fraud-scorer", "alias": "champion"}
    assert client.call("POST", "/promotions", token=bound, json=body).status == 403
    assert ledger.promotions.page().items == ()
    one = client.call("POST", "/promotions", token=bound, json=body | {"service": "fraud"})
    assert [each["service"] for each in one.json()["items"]] == ["fraud"]


class Vouching:
    """Vouches for whoever comes, as it is told."""

    def __init__(self) -> None:
        self.answer: Caller | Denied = GITHUB

    def __call__(self, _text: str) -> Caller | Denied:
        return self.answer


@pytest.fixture
def vouching() -> Vouching:
    return Vouching()


@pytest.fixture
def github(ledger: Ledger, config: ReceiverConfig, vouching: Vouching) -> Iterator[Client]:
    """Run a receiver that believes an issuer."""
    with Client(create_app(ledger, replace(config, vouched=vouching))) as client:
        yield client


JWT = "header.claims.signature"


@pytest.mark.parametrize(
    ("why", "status", "header"),
    [
        (Denial.UNKNOWN, 401, "www-authenticate"),
        (Denial.NOT_ALLOWED, 403, None),
        (Denial.UNDECIDED, 503, "retry-after"),
    ],
)
def test_what_an_issuer_s_tokens_are_refused_for_is_told(
    github: Client, vouching: Vouching, why: Denial, status: int, header: str | None
) -> None:
    vouching.answer = Denied(why, "The reason.")
    answer = github.call("GET", "/services", token=JWT)
    assert detail(answer, status) == "The reason."
    assert header is None or header in answer.headers


def test_a_workflow_s_promotion_is_recorded_as_github_s(github: Client) -> None:
    answer = github.call(
        "POST", "/promotions", token=JWT, json=PROMOTE, headers={"user-agent": "laurel-cli"}
    )
    trigger = answer.json()["items"][0]["trigger"]
    assert (trigger["kind"], trigger["actor"]) == ("github", "github:octocat (acme/models)")


def test_the_same_change_told_again_is_the_same_promotion(github: Client, ledger: Ledger) -> None:
    body = {"model": "fraud-scorer", "alias": "champion"}
    first = github.call("POST", "/promotions", token=JWT, json=body)
    again = github.call("POST", "/promotions", token=JWT, json=body)
    assert (first.status, again.status) == (202, 202)
    ids = [each["id"] for each in first.json()["items"]]
    assert [each["id"] for each in again.json()["items"]] == ids
    assert first.headers["location"] == again.headers["location"]
    assert len(ids) == len(set(ids)) == len(ledger.promotions.page().items) == 2


def test_the_same_retry_told_again_is_the_same_promotion(github: Client, ledger: Ledger) -> None:
    failed = promoted(ledger, "churn")
    ledger.promotions.change(failed.id, phase=Phase.FAILED, ended_at=NOW)
    path = f"/promotions/{failed.id}/retry"
    ids = [github.call("POST", path, token=JWT).json()["id"] for _ in range(2)]
    assert ids[0] == ids[1] != failed.id


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/promotions", {"model": "fraud-scorer", "alias": "champion"}),
        ("POST", "/promotions?a=1", PROMOTE),
        ("PUT", "/services/churn/hold", {"reason": ""}),
        ("DELETE", "/services/churn/hold", None),
    ],
)
def test_another_change_with_the_same_token_is_refused(
    github: Client, ledger: Ledger, method: str, path: str, body: object
) -> None:
    assert github.call("POST", "/promotions", token=JWT, json=PROMOTE).status == 202
    answer = github.call(method, path, token=JWT, json=body)
    said = "This token was used for another change: ask for a fresh one."
    assert detail(answer, 401) == said
    assert len(ledger.promotions.page().items) == 1
    assert ledger.holds.get("churn") is None


def test_the_opposite_is_another_change_although_path_and_body_are_the_same(
    github: Client, ledger: Ledger
) -> None:
    path, body = "/services/churn/hold", {"reason": ""}
    assert github.call("PUT", path, token=JWT, json=body).status == 200
    assert github.call("DELETE", path, token=JWT, json=body).status == 401
    assert ledger.holds.get("churn") is not None


def test_a_spent_token_still_reads(github: Client) -> None:
    created = github.call("POST", "/promotions", token=JWT, json=PROMOTE)
    for _ in range(3):
        assert github.call("GET", created.headers["location"], token=JWT).status == 200


def test_a_change_that_was_not_allowed_spends_no_token(github: Client, vouching: Vouching) -> None:
    vouching.answer = replace(GITHUB, grants=(Grant(frozenset({Role.OPERATOR}), FRAUD),))
    assert github.call("DELETE", "/services/churn/hold", token=JWT).status == 403
    assert github.call("DELETE", "/services/fraud/hold", token=JWT).status == 200


def test_two_changes_at_once_with_one_token_have_one_winner(github: Client, ledger: Ledger) -> None:
    def call(number: int) -> Call:
        headers = {
            "host": "127.0.0.1",
            "authorization": f"Bearer {JWT}",
            "content-type": "application/json",
        }
        body = json.dumps(PROMOTE | {"reason": f"number {number}"}).encode()
        return Call("POST", "/promotions", headers, body)

    answers = github.send_together([call(number) for number in range(8)])
    assert sorted(answer.status for answer in answers) == [202] + [401] * 7
    assert len(ledger.promotions.page().items) == 1
