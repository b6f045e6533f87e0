"""Who closes the way before a revision begins to take everything is heeded, also over a crash."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.domain.promotion import ControlKind, Phase, Promotion
from pipeline.run import Ended
from tests.fakes.metrics import Behaviour
from tests.unit.promotion_scene import MODEL, InMemoryCheckpoints, Scene, scene
from tests.unit.steering import after, freeze, hold, pause, release, resume, thaw


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


@dataclass(frozen=True)
class Way:
    """How people keep a revision back and let it go on; meanwhile it waits for ``waits_for``."""

    waits_for: str
    close: Callable[[Scene], None]
    open: Callable[[Scene], None]


WAYS = pytest.mark.parametrize(
    "way",
    [Way("release", hold, release), Way("freeze", freeze, thaw), Way("resume", pause, resume)],
    ids=["hold", "freeze", "pause"],
)


@pytest.fixture
def returning(one: Scene) -> Scene:
    """Version 2 serves after version 1, which the alias may return to at once."""
    for version in (1, 2):
        assert one.promote(version).phase is Phase.SUCCEEDED
    return one


class DiedError(BaseException):
    """The process is gone."""


def once(die: Callable[[], None]) -> Callable[[], None]:
    """Die the first time, and live on the second."""
    died: list[bool] = []

    def dying() -> None:
        if not died:
            died.append(True)
            die()

    return dying


def die() -> None:
    raise DiedError


def dies(made: Scene, step: str) -> tuple[Promotion, InMemoryCheckpoints]:
    """Let the alias return to version 1, and the process die when that has begun a step."""
    promotion, kept = made.accept(1), InMemoryCheckpoints()
    made.at_step(step, once(die))
    with pytest.raises(DiedError):
        made.run(promotion, kept)
    return promotion, kept


class DiesBefore(InMemoryCheckpoints):
    """The process dies once, when everything before a step was done and the step is not begun."""

    def __init__(self, step: str) -> None:
        super().__init__()
        self._step, self._die = step, once(die)

    def step(self, name: str, do: Callable[[], object]) -> object:
        if name == self._step:
            self._die()
        return super().step(name, do)


def let_through(made: Scene, version: int) -> tuple[Promotion, InMemoryCheckpoints]:
    """Let a version be found good, and the process die before it takes everything."""
    promotion, kept = made.accept(version), DiesBefore("complete")
    with pytest.raises(DiedError):
        made.run(promotion, kept)
    assert made.steps()[-1] in {"canary", "stand_by"}
    return promotion, kept


def looks(made: Scene) -> list[tuple[tuple[int | None, int], str | None]]:
    """Note, 300 s from now, what serves and what is waited for."""
    seen: list[tuple[tuple[int | None, int], str | None]] = []

    def look() -> None:
        waiting = made.promotions[-1].waiting
        seen.append((made.serves, None if waiting is None else waiting.for_))

    after(made, 300, look)
    return seen


def stays_back(
    made: Scene, way: Way, go_on: Callable[[], Ended], at: tuple[int | None, int]
) -> None:
    """See it go on, stay as it is while the way is closed, and end well once that is open."""
    seen = looks(made)
    after(made, 301, lambda: way.open(made))
    assert go_on().phase is Phase.SUCCEEDED
    assert seen == [(at, way.waits_for)]


@WAYS
def test_what_returns_at_once_stays_back_where_the_way_was_closed_while_it_started(
    returning: Scene,
    way: Way,
) -> None:
    returning.at_step("deploy", lambda: way.close(returning))
    stays_back(returning, way, lambda: returning.promote(1), (2, 0))
    assert returning.serves == (1, 0)


@WAYS
@pytest.mark.parametrize("step", ["attest_deployment", "deploy"])
def test_what_returns_at_once_stays_back_where_the_way_was_closed_during_a_crash(
    returning: Scene,
    step: str,
    way: Way,
) -> None:
    promotion, kept = dies(returning, step)
    way.close(returning)
    stays_back(returning, way, lambda: returning.run(promotion, kept), (2, 0))
    assert returning.serves == (1, 0)


@WAYS
def test_what_had_begun_to_take_everything_takes_it_after_a_crash(
    returning: Scene,
    way: Way,
) -> None:
    promotion, kept = dies(returning, "complete")
    way.close(returning)
    assert returning.run(promotion, kept).phase is Phase.SUCCEEDED
    assert returning.serves == (1, 0)


@WAYS
def test_a_judged_canary_stays_at_its_percent_where_the_way_was_closed_during_a_crash(
    one: Scene,
    way: Way,
) -> None:
    one.promote(1)
    promotion, kept = let_through(one, 2)
    way.close(one)
    stays_back(one, way, lambda: one.run(promotion, kept), (1, 50))
    assert one.serves == (2, 0)


@WAYS
def test_a_first_deploy_stays_at_nothing_where_the_way_was_closed_during_a_crash(
    one: Scene,
    way: Way,
) -> None:
    promotion, kept = let_through(one, 1)
    way.close(one)
    stays_back(one, way, lambda: one.run(promotion, kept), (None, 0))


def test_a_judged_canary_that_turns_bad_while_it_is_held_over_a_crash_goes_back(one: Scene) -> None:
    one.promote(1)
    promotion, kept = let_through(one, 2)
    hold(one)
    one.metrics.behaviour["fraud-00002"] = Behaviour(failing=0.5)
    assert one.run(promotion, kept).phase is Phase.FAILED
    assert one.serves == (1, 0)


def test_a_canary_that_is_judged_once_more_after_a_crash_tells_each_step_once(one: Scene) -> None:
    one.promote(1)
    promotion, kept = let_through(one, 2)
    assert one.run(promotion, kept).phase is Phase.SUCCEEDED
    ended = [each.data for each in one.ledger.events.of(promotion.id, kind="step_ended")]
    judged = [each["evidence"]["steps"] for each in ended if each["name"] == "canary"]
    assert [[step["percent"] for step in steps] for steps in judged] == [[10, 50], [10, 50]]


def test_a_canary_that_had_begun_to_take_everything_is_not_judged_again(one: Scene) -> None:
    one.promote(1)
    after(one, 20, lambda: one.decide(ControlKind.COMPLETE, "it is fine"))
    promotion, one_life = one.accept(2), InMemoryCheckpoints()
    one.at_step("complete", once(die))
    with pytest.raises(DiedError):
        one.run(promotion, one_life)
    freeze(one)
    one.metrics.behaviour["fraud-00002"] = Behaviour(failing=0.5)
    ended = one.run(promotion)  # its checkpoints are lost, too
    assert (ended.phase, one.serves) == (Phase.SUCCEEDED, (2, 0))
    assert ended.reason.endswith("its canary was ended well by ada: it is fine")
    assert one.steps().count("canary") == 1


def test_a_canary_that_was_found_bad_gets_no_other_look_after_a_crash(one: Scene) -> None:
    one.promote(1)
    one.metrics.behaviour["fraud-00002"] = Behaviour(failing=0.5)
    restore, crash = one.target.restore, once(die)

    def restored(service: str, sequence: int) -> None:
        crash()
        restore(service, sequence)

    one.target.restore = restored  # type: ignore[method-assign]  # a hook, in this scene alone
    promotion, kept = one.accept(2), InMemoryCheckpoints()
    with pytest.raises(DiedError):
        one.run(promotion, kept)
    one.metrics.behaviour.clear()
    ended = one.run(promotion, kept)
    assert (ended.phase, one.serves) == (Phase.FAILED, (1, 0))
    assert "requests failed" in ended.reason
    assert one.steps().count("canary") == 1


def test_a_first_deploy_asks_for_the_alias_after_a_freeze(one: Scene) -> None:
    one.at_step("deploy", lambda: freeze(one))
    after(one, 300, lambda: one.models.point(MODEL, "champion", 3))
    after(one, 301, lambda: thaw(one))
    assert one.promote(1).phase is Phase.SUPERSEDED
    assert one.serves == (None, 0)


def test_what_returns_at_once_asks_for_the_alias_after_it_stood_by(returning: Scene) -> None:
    returning.at_step("deploy", lambda: hold(returning))
    after(returning, 300, lambda: returning.models.point(MODEL, "champion", 3))
    after(returning, 301, lambda: release(returning))
    assert returning.promote(1).phase is Phase.SUPERSEDED
    assert returning.serves == (2, 0)


def test_what_returns_at_once_and_stands_by_ends_at_a_decision(returning: Scene) -> None:
    returning.at_step("deploy", lambda: hold(returning))
    after(returning, 300, lambda: returning.decide(ControlKind.ABORT))
    assert returning.promote(1).phase is Phase.ABORTED
    assert returning.serves == (2, 0)


def test_what_returns_at_once_waits_for_an_mlflow_that_goes_away_at_the_end(
    returning: Scene,
) -> None:
    def go() -> None:
        returning.models.away = True
        after(returning, 300, come)

    def come() -> None:
        returning.models.away = False

    returning.at_step("stand_by", go)
    seen = looks(returning)
    assert returning.promote(1).phase is Phase.SUCCEEDED
    assert seen == [((2, 0), "mlflow")]


def test_a_rollback_stands_by_for_nothing(returning: Scene) -> None:
    returning.at_step("deploy", lambda: freeze(returning))
    image = returning.promotions[0].image
    assert returning.roll_back_to(image).phase is Phase.SUCCEEDED
    assert returning.serves == (1, 0)
