"""Aliases move in a real MLflow, people decide, and the service follows: rules 1-11 live."""

import pytest
import yaml

from pipeline.domain.promotion import Kind, Phase, TriggerKind
from pipeline.domain.references import Alias
from tests.acceptance.conftest import Registered, Start
from tests.servers.laurel import SECRET, SERVICE, Laurel, one_at_a_time
from tests.servers.waiting import until

pytestmark = pytest.mark.xdist_group("promotions")
SLOW_CANARY = {"steps": [50], "interval": "60s", "min_samples": 5, "look_every": "50ms"}


def first(laurel: Laurel, model: Registered) -> None:
    model.add()
    model.point(1)
    assert laurel.ended(1).phase is Phase.SUCCEEDED, laurel.story()


def webhook(laurel: Laurel, model: Registered) -> None:
    """Have MLflow deliver alias events of the model to the receiver."""
    events = [
        {"entity": "REGISTERED_MODEL", "action": "CREATED"},
        {"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"},
        {"entity": "MODEL_VERSION_ALIAS", "action": "DELETED"},
    ]
    url = f"{laurel.url}/webhooks/mlflow"
    body = {"name": "laurel", "url": url, "events": events, "secret": SECRET, "status": "ACTIVE"}
    model.mlflow.call("POST", "mlflow/webhooks", body)


def test_an_alias_moved_while_the_receiver_is_down_is_promoted_within_a_poll_of_its_return(
    laurel: Start, model: Registered
) -> None:
    up = laurel(None)
    model.add()
    up.start("up")
    until(up.answers, "the receiver answers", say=up.log)
    up.kill()
    model.point(1)
    up.start("up")
    until(up.answers, "the receiver answers again", say=up.log)
    until(lambda: len(up.promotions()) == 1, "a promotion", 2 * up.settings.mlflow.poll + 2)
    assert up.ended(1).phase is Phase.SUCCEEDED
    assert up.promotions()[0].trigger.kind is TriggerKind.RECONCILER


def test_after_ten_moves_in_a_burst_every_delivery_is_accounted_for_and_the_last_serves(
    laurel: Start, model: Registered
) -> None:
    up = laurel("up")
    until(up.answers, "the receiver answers", say=up.log)
    webhook(up, model)
    for _ in range(11):
        model.add()
    model.point(1)
    assert up.ended(1).phase is Phase.SUCCEEDED, up.story()
    with up.traffic() as seen:
        for version in range(2, 12):
            model.point(version)
        until(
            lambda: (p := up.promotions()[-1]).model.version == 11 and p.phase.ended,
            "the end of the last",
            say=up.story,
        )
        until(lambda: sum(up.ledger.deliveries.outcomes().values()) == 11, "all deliveries")
        until(lambda: "" not in up.ledger.deliveries.outcomes(), "all are settled")
    outcomes = up.ledger.deliveries.outcomes()
    promotions = up.promotions()
    assert sum(outcomes.values()) == 11, outcomes
    # a poll may be faster than MLflow's delivery, which is then coalesced into what it started
    assert outcomes.get("promoted", 0) <= len(promotions), outcomes
    assert promotions[-1].phase is Phase.SUCCEEDED, up.story()
    assert one_at_a_time(promotions)
    assert {p.phase for p in promotions[1:-1]} <= {Phase.SUPERSEDED}
    assert {status for status, _ in seen} == {200}
    took_traffic = {answer for _, answer in seen} - {"1"}
    assert len(took_traffic) <= 2
    assert "11" in took_traffic
    assert up.ask() == (200, "11")


def test_an_alias_set_straight_in_the_database_is_found(laurel: Start, model: Registered) -> None:
    worker = laurel()
    first(worker, model)
    model.add()
    model.point_in_database(2)
    with worker.traffic():
        ended = worker.ended(2)
    assert (ended.phase, ended.model.version) == (Phase.SUCCEEDED, 2)
    until(lambda: "laurel.updated_at" in model.tags(2), "MLflow is told")
    assert model.tags(1)["laurel.fraud.serving"] == "false"
    assert model.tags(2)["laurel.fraud.serving"] == "true"


def test_a_version_deleted_before_it_is_read_fails_with_one_sentence(
    laurel: Start, model: Registered
) -> None:
    up = laurel("up")
    until(up.answers, "the receiver answers", say=up.log)
    first(up, model)
    model.add()
    model.delete(2)
    asked = {"model": model.name, "version": 2}
    assert up.call("POST", "/promotions", asked)[0] == 202
    ended = up.ended(2)
    assert ended.phase is Phase.FAILED
    assert "is not in MLflow: register it again" in ended.reason
    assert up.ask() == (200, "1")


@pytest.mark.parametrize("how", ["alias removed", "version deleted"])
def test_an_alias_that_goes_during_the_canary_aborts_and_stable_is_back(
    how: str, laurel: Start, model: Registered
) -> None:
    worker = laurel(canary=SLOW_CANARY)
    first(worker, model)
    model.add()
    with worker.traffic() as seen:
        model.point(2)
        worker.event(2, "look", percent=50)
        if how == "alias removed":
            model.remove()
        else:
            model.delete(2)
        ended = worker.ended(2)
        assert worker.state().canary is None
    assert (ended.phase, ended.reason) == (
        Phase.ABORTED,
        f"@champion was removed from {model.name}",
    )
    assert {status for status, _ in seen} == {200}
    assert worker.ask() == (200, "1")


def test_a_newer_version_supersedes_the_canary_and_then_has_its_own(
    laurel: Start, model: Registered
) -> None:
    worker = laurel(canary=SLOW_CANARY | {"interval": "2s"})
    first(worker, model)
    model.add()
    model.add()
    with worker.traffic() as seen:
        model.point(2)
        worker.event(2, "look", percent=50)
        model.point(3)
        assert worker.ended(2).phase is Phase.SUPERSEDED
        assert worker.ended(3).phase is Phase.SUCCEEDED, worker.story()
    assert one_at_a_time(worker.promotions())
    assert [p.sequence for p in worker.promotions()] == [1, 2, 3]
    assert {status for status, _ in seen} == {200}
    assert worker.ask() == (200, "3")


def test_an_alias_back_on_the_serving_version_ends_the_canary_traffic_first(
    laurel: Start, model: Registered
) -> None:
    worker = laurel(canary=SLOW_CANARY)
    first(worker, model)
    model.add()
    with worker.traffic():
        model.point(2)
        worker.event(2, "look", percent=50)
        model.point(1)
        assert worker.ended(2).phase is Phase.SUPERSEDED
        back = worker.ended(3)
    assert (back.phase, back.reason) == (
        Phase.SUCCEEDED,
        f"fraud already serves {model.name}/1",
    )
    assert worker.ask() == (200, "1")


def test_a_rollback_is_fast_holds_and_ends_with_another_version(
    laurel: Start, model: Registered
) -> None:
    up = laurel("up")
    until(up.answers, "the receiver answers", say=up.log)
    first(up, model)
    assert up.call("POST", f"/services/{SERVICE}/rollback")[0] == 409
    model.add()
    with up.traffic() as seen:
        model.point(2)
        assert up.ended(2).phase is Phase.SUCCEEDED
        status, asked = up.call("POST", f"/services/{SERVICE}/rollback", {"reason": "too slow"})
        assert status == 202
        assert up.call("POST", f"/services/{SERVICE}/rollback")[1]["id"] == asked["id"]
        back = up.ended(3)
        assert (back.kind, back.phase) == (Kind.ROLLBACK, Phase.SUCCEEDED)
        assert back.image == up.promotions()[0].image
        assert up.ask() == (200, "1")
        assert up.call("GET", f"/services/{SERVICE}")[1]["hold"]["reason"] == "too slow"
        until(
            lambda: (hold := up.ledger.holds.get(SERVICE)) and hold.alias_version == 2,
            "the hold knows the alias's version",
        )
        model.point(2)
        model.polled()
        assert len(up.promotions()) == 3
        assert up.ask() == (200, "1")
        model.add()
        model.point(3)
        assert up.ended(4).phase is Phase.SUCCEEDED
    assert up.ledger.holds.get(SERVICE) is None
    assert {status for status, _ in seen} == {200}


def test_a_release_compares_the_alias_anew_and_seeks_no_answer_twice(
    laurel: Start, model: Registered
) -> None:
    up = laurel("up")
    until(up.answers, "the receiver answers", say=up.log)
    first(up, model)
    held = up.call("PUT", f"/services/{SERVICE}/hold", {"reason": "a quiet weekend"})
    assert held[0] == 200
    until(
        lambda: (hold := up.ledger.holds.get(SERVICE)) and hold.alias_version == 1,
        "the hold knows the alias's version",
    )
    assert up.call("DELETE", f"/services/{SERVICE}/hold")[0] == 200
    model.polled()
    assert len(up.promotions()) == 1


def test_a_person_aborts_and_retries(laurel: Start, model: Registered) -> None:
    up = laurel("up", canary=SLOW_CANARY | {"interval": "1s"})
    until(up.answers, "the receiver answers", say=up.log)
    first(up, model)
    model.add()
    with up.traffic() as seen:
        model.point(2)
        up.event(2, "look", percent=50)
        promotion = up.promotions()[1].id
        asked = up.call("POST", f"/promotions/{promotion}/abort", {"reason": "wrong data"})
        assert asked[0] == 202
        ended = up.ended(2)
        assert (ended.phase, ended.reason) == (Phase.ABORTED, "wrong data")
        assert up.ask() == (200, "1")
        model.polled()
        assert len(up.promotions()) == 2
        assert up.call("POST", f"/promotions/{promotion}/retry")[0] == 202
        again = up.ended(3)
    assert (again.phase, again.retry_of) == (Phase.SUCCEEDED, promotion)
    assert again.image == ended.image
    assert {status for status, _ in seen} == {200}


def test_a_version_by_hand_holds_and_an_alias_by_hand_does_not(
    laurel: Start, model: Registered
) -> None:
    up = laurel("up")
    until(up.answers, "the receiver answers", say=up.log)
    first(up, model)
    model.add()
    with up.traffic():
        up.call("POST", "/promotions", {"model": model.name, "version": 2})
        assert up.ended(2).phase is Phase.SUCCEEDED, up.story()
        model.polled()
        assert up.ask() == (200, "2")
        assert len(up.promotions()) == 2
        hold = up.ledger.holds.get(SERVICE)
        assert hold is not None
        assert hold.alias_version == 1
        up.call("POST", "/promotions", {"model": model.name, "alias": "champion"})
        back = up.ended(3)
    assert (back.phase, back.model.version) == (Phase.SUCCEEDED, 1)
    assert up.ask() == (200, "1")


def test_a_version_must_have_been_challenger(laurel: Start, model: Registered) -> None:
    worker = laurel(from_alias="challenger")
    model.add()
    model.point(1, "challenger")
    until(
        lambda: worker.ledger.sightings.ever(Alias(model.name, "challenger"), 1),
        "it was seen there",
    )
    model.remove("challenger")
    model.point(1)
    assert worker.ended(1).phase is Phase.SUCCEEDED, worker.story()


def test_a_first_deploy_that_cannot_start_leaves_nothing(laurel: Start, model: Registered) -> None:
    worker = laurel()
    model.add(broken=True)
    model.point(1)
    ended = worker.ended(1)
    assert ended.phase is Phase.FAILED
    assert "this model cannot be loaded" in ended.reason
    state = worker.state()
    assert (state.stable, state.canary) == (None, None)


def test_stopped_politely_in_a_canary_it_ends_at_once_and_goes_on_later(
    laurel: Start, model: Registered
) -> None:
    up = laurel("up", canary=SLOW_CANARY | {"interval": "3s"})
    until(up.answers, "the receiver answers", say=up.log)
    first(up, model)
    model.add()
    with up.traffic() as seen:
        model.point(2)
        up.event(2, "look", percent=50)
        assert up.terminate() == 0, up.log()
        up.start("up")
        assert up.ended(2).phase is Phase.SUCCEEDED, up.story()
    assert {status for status, _ in seen} == {200}


def test_settings_that_change_leave_a_running_promotion_its_own(
    laurel: Start, model: Registered
) -> None:
    worker = laurel(canary=SLOW_CANARY | {"interval": "1s"})
    first(worker, model)
    model.add()
    with worker.traffic():
        model.point(2)
        worker.event(2, "look", percent=50)
        worker.kill()
        settings = worker.folder / "laurel.yaml"
        settings.write_text(settings.read_text().replace("- 50", "- 20"))
        worker.start()
        assert worker.ended(2).phase is Phase.SUCCEEDED
    looks = worker.ledger.events.of(worker.promotions()[1].id, kind="look")
    assert 20 not in {look.data["percent"] for look in looks}


def test_two_services_of_one_model_get_a_promotion_each_and_one_image(
    laurel: Start, model: Registered
) -> None:
    worker = laurel(None)
    settings = yaml.safe_load((worker.folder / "laurel.yaml").read_text())
    settings["services"].append(settings["services"][0] | {"name": "fraud-eu"})
    (worker.folder / "laurel.yaml").write_text(yaml.safe_dump(settings))
    worker.start()
    model.add()
    model.point(1)
    ends = [worker.ended(1), worker.ended(1, service="fraud-eu")]
    assert [end.phase for end in ends] == [Phase.SUCCEEDED] * 2, worker.story()
    assert ends[0].image == ends[1].image
    assert worker.ask(service="fraud-eu") == worker.ask() == (200, "1")


def test_a_removed_service_starts_nothing_and_keeps_serving(
    laurel: Start, model: Registered
) -> None:
    worker = laurel()
    first(worker, model)
    worker.kill()
    settings = worker.folder / "laurel.yaml"
    settings.write_text(settings.read_text().replace("name: fraud\n", "name: renamed\n"))
    worker.start()
    assert worker.ended(1, service="renamed").phase is Phase.SUCCEEDED
    assert worker.ask() == worker.ask(service="renamed") == (200, "1")
    assert len(worker.promotions()) == 1


def test_a_lost_ledger_finds_the_hold_on_what_serves_and_undoes_no_persons_rollback(
    laurel: Start, model: Registered
) -> None:
    up = laurel("up")
    until(up.answers, "the receiver answers", say=up.log)
    first(up, model)
    model.add()
    with up.traffic() as seen:
        model.point(2)
        assert up.ended(2).phase is Phase.SUCCEEDED, up.story()
        assert up.call("POST", f"/services/{SERVICE}/rollback", {"reason": "complaints"})[0] == 202
        assert up.ended(3).phase is Phase.SUCCEEDED, up.story()
        until(
            lambda: (hold := up.state().hold) and hold.alias_version == 2,
            "the hold stands on the service",
            say=up.log,
        )
        held = up.ledger.holds.get(SERVICE)
        up.kill()
        up.lose_ledger()
        up.start("up")
        until(lambda: up.ledger.holds.get(SERVICE), "the hold is found", say=up.log)
        assert up.ledger.holds.get(SERVICE) == held
        model.polled()
        assert up.promotions() == []
        assert up.ask() == (200, "1")
        model.add()
        model.point(3)
        assert up.ended(1).phase is Phase.SUCCEEDED, up.story()
        assert up.ask() == (200, "3")
        until(lambda: up.state().hold is None, "the hold is off the service too", say=up.log)
    assert up.promotions()[0].sequence == 4
    assert {status for status, _ in seen} == {200}


def test_a_lost_ledger_finds_what_serves_and_moves_nothing(
    laurel: Start, model: Registered
) -> None:
    worker = laurel()
    first(worker, model)
    before = worker.state()
    worker.kill()
    worker.lose_ledger()
    with worker.traffic() as seen:
        worker.start()
        found = worker.ended(1)
    assert (found.phase, found.reason) == (
        Phase.SUCCEEDED,
        f"fraud already serves {model.name}/1",
    )
    assert found.sequence == 2
    assert worker.state().stable == before.stable
    assert {status for status, _ in seen} <= {200}
