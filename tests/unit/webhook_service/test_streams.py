"""``GET /promotions/{id}/events`` as server-sent events."""

import json
from datetime import timedelta
from typing import Any

import pytest

from pipeline.domain.access import Role
from pipeline.domain.promotion import Phase, Promotion, Waiting
from pipeline.ledger import Ledger
from tests.fakes.asgi import Answer, Client
from tests.fakes.mlflow_webhook import NOW
from tests.unit.webhook_service.conftest import World
from tests.unit.webhook_service.test_access import issue
from tests.unit.webhook_service.test_api import BOB, promoted
from webhook_service import streams
from webhook_service.app import create_app
from webhook_service.config import ReceiverConfig


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_EVERY", 0.001)


def listen(client: Client, promotion: str, *, token: str = BOB, last: str | None = None) -> Answer:
    headers = {"accept": "text/event-stream"} | ({} if last is None else {"last-event-id": last})
    return client.call("GET", f"/promotions/{promotion}/events", token=token, headers=headers)


def frames(answer: Answer) -> list[tuple[str | None, str, Any]]:
    found = []
    for frame in answer.body.decode().split("\n\n"):
        said = dict(line.partition(": ")[::2] for line in frame.splitlines())
        if "data" in said:
            found.append((said.get("id"), said["event"], json.loads(said["data"])))
    return found


def at_look(ledger: Ledger, do: dict[int, Any]) -> None:
    """Do something at the n-th look of a stream at its promotion."""
    of, looks = ledger.events.of, iter(range(1000))

    def looked(promotion: str, **which: Any) -> Any:  # noqa: ANN401 - as the method
        do.get(next(looks), lambda: None)()
        return of(promotion, **which)

    ledger.events.of = looked  # type: ignore[method-assign]  # a hook, in this test alone


def end(ledger: Ledger, promotion: Promotion) -> None:
    ledger.promotions.change(
        promotion.id, phase=Phase.FAILED, reason="too many errors", ended_at=NOW
    )


def test_what_has_ended_is_told_whole_and_the_stream_ends(client: Client, ledger: Ledger) -> None:
    made = promoted(ledger, 1, Phase.RUNNING)
    ledger.events.append(made.id, NOW, "look", {"percent": 10, "state": "for a restart"})
    end(ledger, made)
    answer = listen(client, made.id)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = frames(answer)
    assert [kind for _, kind, _ in told] == ["accepted", "look", "ended", "promotion"]
    assert told[1][2]["data"] == {"percent": 10}
    assert int(told[1][0] or "") == told[1][2]["id"]
    assert told[-1][0] is None
    assert told[-1][2]["reason"] == "too many errors"


def test_whoever_comes_back_misses_nothing_and_hears_nothing_twice(
    client: Client, ledger: Ledger
) -> None:
    made = promoted(ledger, 1, Phase.RUNNING)
    ledger.events.append(made.id, NOW, "look", {"percent": 10})
    end(ledger, made)
    first = frames(listen(client, made.id))
    again = frames(listen(client, made.id, last=first[0][0]))
    assert again == first[1:]
    assert listen(client, made.id, last=first[-2][0]).status == 204


def test_each_thing_is_told_when_it_happens_until_the_end(client: Client, ledger: Ledger) -> None:
    made = promoted(ledger, 1, Phase.RUNNING)
    at_look(
        ledger,
        {
            2: lambda: ledger.promotions.change(made.id, waiting=Waiting("traffic", NOW)),
            4: lambda: ledger.events.append(made.id, NOW, "look", {"percent": 10}),
            6: lambda: end(ledger, made),
        },
    )
    told = frames(listen(client, made.id))
    assert [kind for _, kind, _ in told] == [
        *("accepted", "promotion"),
        *("promotion", "look"),
        *("ended", "promotion"),
    ]
    assert told[2][2]["waiting"]["for"] == "traffic"


def test_a_quiet_stream_gives_signs_of_life(client: Client, ledger: Ledger) -> None:
    made = promoted(ledger, 1, Phase.RUNNING)
    at_look(ledger, {125: lambda: end(ledger, made)})
    assert listen(client, made.id).body.count(b":\n\n") == 3


def test_a_stream_ends_when_its_token_does(client: Client, ledger: Ledger) -> None:
    made = promoted(ledger, 1, Phase.RUNNING)
    token = issue(ledger, Role.READER)
    at_look(ledger, {10: lambda: ledger.tokens.revoke("ci", NOW)})
    assert [kind for _, kind, _ in frames(listen(client, made.id, token=token))][-1] == "promotion"
    assert listen(client, made.id, token=token).status == 401


def test_a_token_that_expires_ends_its_stream_too(
    client: Client, ledger: Ledger, world: World
) -> None:
    made = promoted(ledger, 1, Phase.RUNNING)
    token = issue(ledger, Role.READER, until=timedelta(hours=1))

    def pass_by() -> None:
        world.now += timedelta(hours=2)

    at_look(ledger, {10: pass_by})
    assert listen(client, made.id, token=token).status == 200


def test_when_the_server_stops_its_streams_end(ledger: Ledger, config: ReceiverConfig) -> None:
    made = promoted(ledger, 1, Phase.RUNNING)
    app = create_app(ledger, config)
    at_look(ledger, {3: app.state.streams.close})
    with Client(app) as client:
        assert listen(client, made.id).status == 200


def test_only_so_many_may_listen(
    client: Client, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_MOST", 0)
    answer = listen(client, promoted(ledger, 1, Phase.RUNNING).id)
    assert answer.status == 503
    assert answer.headers["retry-after"] == "30"


@pytest.mark.parametrize("last", ["-1", "x", str(1 << 63)])
def test_an_event_id_that_was_never_given_is_refused(
    client: Client, ledger: Ledger, last: str
) -> None:
    assert listen(client, promoted(ledger, 1).id, last=last).status == 422
