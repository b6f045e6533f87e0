"""One channel's outbox: nothing lost, nothing in a hurry, nothing for ever."""

import logging
from datetime import datetime
from pathlib import Path

import pytest

from pipeline.domain.notice import Notice, Topic
from pipeline.domain.serving import Hold
from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.ledger.notifications import notifications
from pipeline.notify import notifier as tries
from pipeline.notify.notifier import Channel, Notifier
from pipeline.notify.rule import Rule
from tests.servers.receiving import Receiver
from tests.unit.notify.telling import URL, notifier_of, sender_to
from tests.unit.promotion_scene import SERVICE, Scene, refuse, scene


def types(receiver: Receiver) -> list[str]:
    return [posted.json["type"].removeprefix("dev.laurel.") for posted in receiver.posted]


def ids(receiver: Receiver) -> list[str]:
    return [posted.headers["webhook-id"] for posted in receiver.posted]


def hold(one: Scene, reason: str = "an audit") -> None:
    one.ledger.holds.set(SERVICE, Hold("ada", reason, one.clock.now()))


def rows(one: Scene) -> list[dict[str, object]]:
    with one.ledger.database.read() as connection:
        return [dict(row) for row in connection.execute(notifications.select()).mappings()]


def test_an_end_is_told_once(one: Scene, receiver: Receiver) -> None:
    notifier = notifier_of(one, sender_to(one, receiver.url))
    one.promote(1)
    notifier.tick()
    notifier.tick()
    assert types(receiver) == ["promotion.succeeded"]
    (row,) = rows(one)
    assert (row["attempts"], row["due_at"], row["last_error"]) == (1, None, None)
    assert row["delivered_at"] is not None


def test_a_channel_begins_with_what_happens_next(one: Scene, receiver: Receiver) -> None:
    one.promote(1)
    notifier = notifier_of(one, sender_to(one, receiver.url))
    notifier.tick()
    assert types(receiver) == []
    hold(one)
    notifier.tick()
    assert types(receiver) == ["service.held"]


def test_only_what_was_asked_for_is_queued(one: Scene, receiver: Receiver) -> None:
    notifier = notifier_of(one, sender_to(one, receiver.url), topics=[Topic.FAILED])
    one.promote(1)
    hold(one)
    notifier.tick()
    assert rows(one) == []
    refuse(one)
    one.promote(2)
    notifier.tick()
    assert types(receiver) == ["promotion.failed"]


def test_what_happened_while_no_worker_ran_is_told_by_the_next(
    one: Scene, receiver: Receiver
) -> None:
    notifier_of(one, sender_to(one, receiver.url)).tick()
    one.promote(1)
    notifier_of(one, sender_to(one, receiver.url)).tick()
    assert types(receiver) == ["promotion.succeeded"]


def test_however_much_happened_it_is_told_in_its_order(
    one: Scene, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tries, "_PAGE", 2)
    monkeypatch.setattr(tries, "_AT_ONCE", 3)
    notifier = notifier_of(one, sender_to(one, receiver.url))
    for number in range(7):
        hold(one, f"reason {number}")
    for _ in range(3):
        notifier.tick()
    reasons = [posted.json["data"]["reason"] for posted in receiver.posted]
    assert reasons == [f"reason {number}" for number in range(7)]


def test_while_a_receiver_is_down_it_is_asked_ever_more_rarely_and_nothing_is_lost(
    one: Scene, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.down()
    notifier = notifier_of(one, sender_to(one, receiver.url))
    hold(one, "first")
    hold(one, "second")
    waits = []
    for _ in range(13):
        caplog.clear()
        notifier.tick()
        notifier.tick()
        assert len(caplog.records) == 1  # of both, one is tried, and once
        due = datetime.fromisoformat(str(rows(one)[0]["due_at"]))
        waits.append((due - one.clock.now()).total_seconds())
        one.clock.sleep(waits[-1])
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]
    hold(one, "third")
    receiver.up()
    notifier.tick()
    told = [posted.json["data"]["reason"] for posted in receiver.posted]
    assert told == ["first", "second", "third"]


def test_what_happens_in_a_pause_waits_for_its_end(one: Scene, receiver: Receiver) -> None:
    receiver.status = 500
    notifier = notifier_of(one, sender_to(one, receiver.url))
    hold(one, "first")
    notifier.tick()
    hold(one, "second")
    notifier.tick()
    assert len(receiver.posted) == 1


def test_a_notice_keeps_its_id_over_all_attempts(one: Scene, receiver: Receiver) -> None:
    receiver.status = 500
    notifier = notifier_of(one, sender_to(one, receiver.url))
    hold(one)
    for _ in range(3):
        notifier.tick()
        one.clock.sleep(10)
    receiver.status = 200
    notifier.tick()
    assert len(ids(receiver)) == 4
    assert len(set(ids(receiver))) == 1
    times = [posted.headers["webhook-timestamp"] for posted in receiver.posted]
    assert len(set(times)) == 4


def test_a_receiver_may_ask_for_a_pause(one: Scene, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 429, {"Retry-After": "120"}
    notifier = notifier_of(one, sender_to(one, receiver.url))
    hold(one)
    notifier.tick()
    receiver.status = 200
    one.clock.sleep(119)
    notifier.tick()
    assert len(receiver.posted) == 1
    one.clock.sleep(1)
    notifier.tick()
    assert len(receiver.posted) == 2


def test_nobody_may_ask_for_a_pause_of_a_day(one: Scene, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 503, {"Retry-After": "86400"}
    notifier = notifier_of(one, sender_to(one, receiver.url))
    hold(one)
    notifier.tick()
    one.clock.sleep(3600)
    notifier.tick()
    assert len(receiver.posted) == 2


def test_one_notice_that_is_refused_keeps_no_other_waiting(one: Scene, receiver: Receiver) -> None:
    notifier = notifier_of(one, sender_to(one, receiver.url))

    def choosy() -> None:
        refused = receiver.posted[-1].json["data"]["reason"] == "first"
        receiver.status = 422 if refused else 200

    receiver.meanwhile = choosy
    hold(one, "first")
    hold(one, "second")
    notifier.tick()
    delivered = [row["delivered_at"] is not None for row in rows(one)]
    assert delivered == [False, True]


def test_after_a_day_it_is_given_up_in_the_log_and_in_the_story(
    one: Scene, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.down()
    notifier = notifier_of(one, sender_to(one, receiver.url))
    one.promote(1)
    notifier.tick()
    one.clock.sleep(24 * 3600)
    notifier.tick()
    (warning,) = one.ledger.events.of(one.promotions[0].id, kind="warning")
    assert warning.data["warning"].startswith("audit was never told of this, for a day: could not")
    assert [record.levelno for record in caplog.records].count(logging.ERROR) == 1
    (row,) = rows(one)
    assert (row["due_at"], row["delivered_at"], row["attempts"]) == (None, None, 2)
    receiver.up()
    one.clock.sleep(24 * 3600)
    notifier.tick()
    assert receiver.posted == []  # that it was given up is no notice either


def test_a_hold_that_could_not_be_told_is_noted_in_its_services_history(
    one: Scene, receiver: Receiver
) -> None:
    receiver.status = 400
    notifier = notifier_of(one, sender_to(one, receiver.url))
    hold(one)
    notifier.tick()
    one.clock.sleep(24 * 3600)
    notifier.tick()
    (entry,) = one.ledger.history.entries(SERVICE, kinds=["warning"])
    assert entry.promotion is None
    assert "it refuses this notice with 400" in entry.data["warning"]


def test_a_secret_that_was_taken_away_is_waited_for(
    one: Scene, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    class Unset:
        def send(self, notice: Notice) -> None:
            raise ConfigurationError(f"audit.secret: there is no such file for {notice.type}")

    notifier = notifier_of(one, Unset())
    hold(one)
    notifier.tick()
    assert "there is no such file" in caplog.text
    one.clock.sleep(1)
    notifier_of(one, sender_to(one, receiver.url)).tick()
    assert types(receiver) == ["service.held"]


def test_who_dies_after_sending_sends_it_again_under_the_same_id(
    one: Scene, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die() -> None:
        raise KeyboardInterrupt

    notifier = notifier_of(one, sender_to(one, receiver.url))
    hold(one)
    with monkeypatch.context() as patch:
        patch.setattr(one.ledger.notifications, "delivered", lambda *_: die())
        with pytest.raises(KeyboardInterrupt):
            notifier.tick()
    for _ in range(3):
        notifier_of(one, sender_to(one, receiver.url)).tick()
    assert len(ids(receiver)) == 2
    assert len(set(ids(receiver))) == 1


def test_channels_that_are_no_longer_set_are_forgotten_with_what_they_still_had(
    one: Scene, receiver: Receiver
) -> None:
    receiver.down()
    notifier = notifier_of(one, sender_to(one, receiver.url))
    hold(one, "before")
    notifier.tick()
    one.ledger.notifications.watch([])
    hold(one, "meanwhile")
    receiver.up()
    again = notifier_of(one, sender_to(one, receiver.url))
    one.clock.sleep(3600)
    again.tick()
    assert (receiver.posted, rows(one)) == ([], [])


def test_one_channel_that_is_away_keeps_no_other_waiting(one: Scene, receiver: Receiver) -> None:
    one.ledger.notifications.watch(["dead", "audit"])
    dead = sender_to(one, "http://127.0.0.1:1/", "dead")
    both = [
        Notifier(one.ledger, Channel(name, Rule(tuple(Topic)), to), one.clock, url=URL)
        for name, to in (("dead", dead), ("audit", sender_to(one, receiver.url)))
    ]
    hold(one)
    for notifier in both:
        notifier.tick()
    assert types(receiver) == ["service.held"]


def test_a_ledger_that_is_away_loses_nothing(
    one: Scene, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    notifier = notifier_of(one, sender_to(one, receiver.url))
    hold(one)

    def full(*_args: object, **_kwargs: object) -> None:
        raise UnavailableError("use the ledger", "disk full", "free disk space")

    with monkeypatch.context() as patch:
        patch.setattr(one.ledger.notifications, "queue", full)
        with pytest.raises(UnavailableError):
            notifier.tick()
    notifier.tick()
    assert types(receiver) == ["service.held"]


def test_what_is_told_is_part_of_no_other_ledger(tmp_path: Path, receiver: Receiver) -> None:
    (tmp_path / "empty").mkdir()
    with scene(tmp_path / "empty") as empty:
        notifier_of(empty, sender_to(empty, receiver.url)).tick()
    assert receiver.posted == []
