"""``POST /webhooks/mlflow``, from a recorded request to the row and the answer."""

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from pipeline.domain.delivery import AliasAction
from pipeline.domain.plan import Plan
from pipeline.ledger import Ledger
from tests.fakes.asgi import HOST, Answer, Client
from tests.fakes.mlflow_webhook import Call, Recording, alias_event, deliver, recordings
from tests.unit.webhook_service.conftest import World
from webhook_service.app import create_app
from webhook_service.config import ReceiverConfig

SECRETS = tuple(sorted({r.secret for r in recordings() if r.secret is not None}))
WATCHED = {"fraud-scorer": "fraud", "fraud-scorer-2": "two", "模型 v1 (EU)": "unicode"}
RECORDED_SERVICES = {
    service: Plan(service, model, from_alias="challenger") for model, service in WATCHED.items()
}


def replay(client: Client, world: World, recording: Recording) -> Answer:
    """Send a recording as it was; the recording receiver had several paths, Laurel has one.

    The path is not signed, and a redirect led MLflow's client back to the webhook's own URL.
    """
    world.now = recording.received_at
    return client.send(replace(recording.call, path="/webhooks/mlflow"))


@pytest.fixture
def replaying(ledger: Ledger, config: ReceiverConfig, world: World) -> Iterable[Client]:
    world.secrets = SECRETS
    with Client(create_app(ledger, replace(config, services=RECORDED_SERVICES))) as client:
        yield client


def expected(recording: Recording) -> tuple[int, object]:
    """Tell what each recording is promised."""
    if recording.call.method == "GET":
        return 405, None
    if recording.secret is None:
        return 401, None
    if recording.id < "008":
        return 200, {"ignored": "test delivery"}
    body = recording.call.body
    if b'"entity": "model_version_alias"' not in body:
        return 200, {"ignored": "not an alias event of a model version"}
    if recording.id.startswith("019"):
        return 200, {"ignored": "nothing watches this model and alias"}
    model = "fraud-scorer-2" if b"fraud-scorer-2" in body else "fraud-scorer"
    service = "unicode" if recording.id.startswith("031") else WATCHED[model]
    return 202, {"delivery": recording.delivery, "services": [service]}


@pytest.mark.parametrize("recording", recordings(), ids=lambda r: r.id)
def test_each_recorded_delivery_gets_its_answer(
    replaying: Client, world: World, ledger: Ledger, recording: Recording
) -> None:
    answer = replay(replaying, world, recording)
    status, content = expected(recording)
    assert answer.status == status
    if content is None:
        assert answer.headers["content-type"] == "application/problem+json"
    else:
        assert answer.json() == content
    assert (ledger.deliveries.get(recording.delivery) is not None) == (status == 202)


def test_all_recordings_in_a_row_leave_one_row_for_each_delivery(
    replaying: Client, world: World, ledger: Ledger
) -> None:
    answers: dict[str, set[tuple[int, bytes]]] = defaultdict(set)
    for recording in recordings():
        if recording.call.method == "POST":
            answer = replay(replaying, world, recording)
            answers[recording.delivery].add((answer.status, answer.body))
    signed = {d: got for d, got in answers.items() if 401 not in {status for status, _ in got}}
    assert all(len(got) == 1 for got in signed.values()), "a retry is answered as the first was"
    accepted = {d for d, got in signed.items() if 202 in {status for status, _ in got}}
    assert {d.id for d in ledger.deliveries.unsettled()} == accepted


def test_moves_that_arrive_swapped_are_both_kept_as_they_came(
    replaying: Client, world: World, ledger: Ledger
) -> None:
    for recording in recordings():
        if recording.id.startswith("natural-reorder"):
            replay(replaying, world, recording)
    assert [d.version for d in ledger.deliveries.unsettled()] == [2, 1]


def test_an_accepted_delivery_is_stored_as_it_was_understood(
    client: Client, ledger: Ledger, world: World
) -> None:
    answer = client.send(deliver(alias_event(version="02", workspace="team-a"), delivery="d-1"))
    assert answer.status == 202
    assert answer.json() == {"delivery": "d-1", "services": ["fraud", "fraud-eu"]}
    stored = ledger.deliveries.get("d-1")
    assert stored is not None
    assert stored.action is AliasAction.CREATED
    assert (stored.model, stored.alias, stored.version) == ("fraud-scorer", "champion", 2)
    assert (stored.workspace, stored.received_at) == ("team-a", world.now)
    assert world.woken == 1


def test_a_from_alias_wakes_its_service_too(client: Client) -> None:
    answer = client.send(deliver(alias_event(alias="challenger")))
    assert answer.json()["services"] == ["fraud"]


def test_a_deleted_alias_wakes_its_services(client: Client, ledger: Ledger) -> None:
    client.send(deliver(alias_event(action="deleted"), delivery="d-1"))
    stored = ledger.deliveries.get("d-1")
    assert stored is not None
    assert stored.version is None


def test_a_repeat_is_answered_as_the_first_was_even_with_other_settings(
    ledger: Ledger, config: ReceiverConfig, world: World
) -> None:
    call = deliver(alias_event(), delivery="d-1")
    answers = []
    for services in (
        config.services,
        {"late": Plan("late", "fraud-scorer")},
        {},
    ):
        with Client(create_app(ledger, replace(config, services=services))) as client:
            answers.append(client.send(call))
    assert {(a.status, a.body) for a in answers} == {(answers[0].status, answers[0].body)}
    assert len(ledger.deliveries.unsettled()) == 1
    assert world.woken == 2, "a repeat wakes again, and that is harmless"


def test_an_alias_in_other_capitals_is_not_watched_and_the_log_says_so(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        answer = client.send(deliver(alias_event(alias="Champion")))
    assert answer.json() == {"ignored": "nothing watches this model and alias"}
    assert "differs only in capitals" in caplog.text


MARK = "echo-9f2c"
BAD: dict[str, tuple[Call, int, str]] = {
    "unsigned": (deliver(alias_event(MARK), x_mlflow_signature=""), 401, "unsigned"),
    "signed with another secret": (deliver(alias_event(MARK), secret=b"no"), 401, "signature"),
    "stale": (deliver(alias_event(MARK), at=World().now - timedelta(hours=1)), 401, "age"),
    "ahead of the clock": (deliver(alias_event(MARK), at=World().now + timedelta(1)), 401, "age"),
    "not JSON": (deliver(MARK.encode()), 422, "malformed"),
    "of another type": (deliver(alias_event(MARK, version=[2])), 422, "malformed"),
    "with a key twice": (
        deliver(alias_event(MARK).replace(b"{", b'{"entity": "a", ', 1)),
        422,
        "malformed",
    ),
    "with a control character": (deliver(alias_event(MARK + "\x00")), 422, "malformed"),
    "with a lone surrogate": (
        deliver(alias_event(MARK).replace(b"champion", rb"\ud800")),
        422,
        "malformed",
    ),
    "of another content type": (
        deliver(alias_event(MARK), content_type=f"text/{MARK}"),
        415,
        "content_type",
    ),
    "without a content type": (deliver(alias_event(MARK), content_type=""), 415, "content_type"),
    "declared over 1 MiB": (
        deliver(alias_event(MARK), content_length=str((1 << 20) + 1)),
        413,
        "too_large",
    ),
    "over 1 MiB": (deliver(MARK.encode() * (1 << 17)), 413, "too_large"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_stores_nothing_but_a_count_and_is_not_echoed(
    client: Client, ledger: Ledger, name: str
) -> None:
    call, status, reason = BAD[name]
    answer = client.send(call)
    assert answer.status == status
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(problem) == {"type", "title", "status", "detail", "instance"}
    assert problem["status"] == status
    assert MARK.encode() not in answer.body
    client.stop()
    assert ledger.deliveries.refused() == {reason: 1}
    assert ledger.deliveries.unsettled() == []


def test_a_replayed_delivery_is_the_same_delivery_until_it_is_stale(
    client: Client, ledger: Ledger, world: World
) -> None:
    call = deliver(alias_event())
    assert client.send(call).body == client.send(call).body
    assert len(ledger.deliveries.unsettled()) == 1
    world.now += timedelta(minutes=11)
    assert client.send(call).status == 401


def test_a_confusable_name_is_another_name(client: Client, ledger: Ledger) -> None:
    for model, alias in (("fraud‐scorer", "champion"), ("fraud-scorer", "сhampion")):  # noqa: RUF001 - on purpose
        assert client.send(deliver(alias_event(model, alias))).status == 200
    assert ledger.deliveries.unsettled() == []


def test_a_stream_without_a_length_is_cut_off_at_1_mib(client: Client) -> None:
    taken = []

    def endless() -> Iterable[bytes]:
        for n in range(1000):
            taken.append(n)
            yield b"x" * 65536

    call = deliver(b"", transfer_encoding="chunked")
    assert client.send(call, chunks=endless()).status == 413
    assert len(taken) == 17


def test_a_new_secret_counts_at_once(client: Client, world: World) -> None:
    call = deliver(alias_event(), secret=b"rotated")
    assert client.send(call).status == 401
    world.secrets = (*world.secrets, b"rotated")
    assert client.send(call).status == 202


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/webhooks/mlflow", 405),
        ("PUT", "/webhooks/mlflow", 405),
        ("GET", "/moved", 404),
        ("POST", "/webhooks/mlflow/", 404),
        ("POST", "/webhooks/<script>", 404),
    ],
)
def test_other_methods_and_addresses_are_problems(
    client: Client, method: str, path: str, status: int
) -> None:
    answer = client.send(Call(method, path, {"host": HOST}, b""))
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert b"script" not in answer.body


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "", "127.0.0.1.evil", "[evil]"]
)
def test_a_foreign_host_name_is_refused(client: Client, host: str) -> None:
    answer = client.send(deliver(alias_event(), host=host))
    assert answer.status == 400
    assert b"evil" not in answer.body


@pytest.mark.parametrize("host", ["10.244.1.7:8080", "192.0.2.1", "[2001:db8::7]:8080"])
def test_an_address_is_no_name_that_could_be_bound_anew(client: Client, host: str) -> None:
    assert client.send(deliver(alias_event(), host=host)).status == 202


@pytest.mark.parametrize("host", ["LOCALHOST", "[::1]:8080", "[::1]", "127.0.0.1"])
def test_an_allowed_host_name_may_have_a_port(client: Client, host: str) -> None:
    assert client.send(deliver(alias_event(), host=host)).status == 202


def test_every_answer_forbids_sniffing_framing_and_caching(client: Client) -> None:
    for answer in (client.send(deliver(alias_event())), client.call("GET", "/nowhere")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "frame-ancestors" in answer.headers["content-security-policy"]


def test_what_breaks_is_a_problem_without_its_innards(
    ledger: Ledger, config: ReceiverConfig
) -> None:
    def broken() -> tuple[bytes, ...]:
        raise ZeroDivisionError(MARK)

    with Client(create_app(ledger, replace(config, secrets=broken))) as client:
        answer = client.send(deliver(alias_event()))
    assert answer.status == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert MARK.encode() not in answer.body
