"""What the worker relies on in a durable engine: of the real one, and of the fake in its place."""

from pathlib import Path

import pytest

from tests.contract.engine_stage import InTurns, OnFile, Stage, go


@pytest.fixture(
    params=[
        pytest.param(InTurns, id="fake"),
        pytest.param(OnFile, id="real", marks=pytest.mark.xdist_group("engine")),
    ]
)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Stage:
    stage: Stage = request.param(tmp_path)
    return stage


def noted(stage: Stage) -> list[str]:
    notes = stage.folder / "notes"
    return notes.read_text().splitlines() if notes.exists() else []


def begun(stage: Stage) -> list[str]:
    return [who for who, what in (note.split(" ", 1) for note in noted(stage)) if what == "first"]


def whole(attempt: str) -> list[str]:
    return [f"{attempt} {what}" for what in ("first", "second", "ended after first")]


def test_what_is_enqueued_is_live_until_it_was_carried_out(stage: Stage) -> None:
    with stage.life() as engine:
        engine.enqueue("wait", 3, service="fraud", sequence=1)
        assert engine.live() == {("wait", 3)}
        stage.until(lambda: "wait.3 second" in noted(stage))
        assert engine.live() == {("wait", 3)}
        go(stage.folder).touch()
        stage.until(lambda: engine.live() == set())
    assert noted(stage) == whole("wait.3")


def test_attempts_run_one_per_service_at_a_time_in_the_order_of_their_sequence(
    stage: Stage,
) -> None:
    with stage.life() as engine:
        engine.enqueue("wait", 1, service="fraud", sequence=1)
        stage.until(lambda: "wait.1 second" in noted(stage))
        for promotion, sequence in (("third", 3), ("fourth", 4), ("second", 2)):
            engine.enqueue(promotion, 1, service="fraud", sequence=sequence)
        engine.enqueue("other", 1, service="churn", sequence=9)
        stage.until(lambda: ("other", 1) not in engine.live())
        assert begun(stage) == ["wait.1", "other.1"]
        go(stage.folder).touch()
        stage.until(lambda: engine.live() == set())
    assert begun(stage)[2:] == ["second.1", "third.1", "fourth.1"]


def test_an_attempt_that_is_asked_for_again_runs_once_and_the_next_one_is_another(
    stage: Stage,
) -> None:
    with stage.life() as engine:
        for _ in range(3):
            engine.enqueue("p", 1, service="fraud", sequence=1)
        stage.until(lambda: engine.live() == set())
        engine.enqueue("p", 1, service="fraud", sequence=1)
        engine.enqueue("p", 2, service="fraud", sequence=1)
        stage.until(lambda: ("p", 2) not in engine.live())
    assert noted(stage) == whole("p.1") + whole("p.2")


def test_an_attempt_that_raises_has_ended_and_is_carried_out_again_only_once_forgotten(
    stage: Stage,
) -> None:
    with stage.life() as engine:
        engine.enqueue("break", 1, service="fraud", sequence=1)
        engine.enqueue("next", 1, service="fraud", sequence=2)
        stage.until(lambda: engine.live() == set())
        assert begun(stage) == ["break.1", "next.1"]
        engine.enqueue("break", 1, service="fraud", sequence=1)
        engine.enqueue("last", 1, service="fraud", sequence=3)
        stage.until(lambda: begun(stage)[-1] == "last.1" and ("last", 1) not in engine.live())
        assert begun(stage) == ["break.1", "next.1", "last.1"]
        stage.attempt.breaks = False
        engine.forget()
        engine.enqueue("break", 1, service="fraud", sequence=1)
        stage.until(lambda: noted(stage)[-3:] == whole("break.1"))


def test_what_lives_is_not_forgotten(stage: Stage) -> None:
    with stage.life() as engine:
        engine.enqueue("wait", 1, service="fraud", sequence=1)
        engine.enqueue("behind", 1, service="fraud", sequence=2)
        stage.until(lambda: "wait.1 second" in noted(stage))
        engine.forget()
        assert engine.live() == {("wait", 1), ("behind", 1)}
        go(stage.folder).touch()
        stage.until(lambda: engine.live() == set())
    assert noted(stage) == whole("wait.1") + whole("behind.1")


def test_what_a_killed_process_left_goes_on_by_itself_and_repeats_no_step_that_had_ended(
    stage: Stage,
) -> None:
    stage.killed(
        ("before", 1, "fraud", 1),
        ("wait", 4, "fraud", 2),
        ("behind", 1, "fraud", 3),
        when=lambda: "wait.4 second" in noted(stage),
    )
    assert noted(stage) == [*whole("before.1"), "wait.4 first", "wait.4 second"]
    go(stage.folder).touch()
    with stage.life() as engine:
        assert ("before", 1) not in engine.live()
        stage.until(lambda: engine.live() == set())
    assert noted(stage)[5:] == ["wait.4 second", "wait.4 ended after first", *whole("behind.1")]


def test_without_checkpoints_nothing_is_live_and_another_attempt_begins_anew(stage: Stage) -> None:
    stage.killed(("wait", 1, "fraud", 1), when=lambda: "wait.1 second" in noted(stage))
    stage.lose()
    go(stage.folder).touch()
    with stage.life() as engine:
        assert engine.live() == set()
        engine.enqueue("wait", 2, service="fraud", sequence=1)
        stage.until(lambda: engine.live() == set())
    assert noted(stage)[2:] == whole("wait.2")


def test_a_life_that_stops_with_nothing_to_do_leaves_nothing_to_do(stage: Stage) -> None:
    with stage.life() as engine:
        engine.enqueue("p", 1, service="fraud", sequence=1)
        stage.until(lambda: engine.live() == set())
    with stage.life() as engine:
        assert engine.live() == set()
        engine.enqueue("next", 1, service="fraud", sequence=2)
        stage.until(lambda: engine.live() == set())
    assert noted(stage) == whole("p.1") + whole("next.1")
