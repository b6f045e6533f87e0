"""A ledger from a backup, and services that went on since: nothing is undone, nothing stuck."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.domain.promotion import Phase
from pipeline.errors import UnavailableError
from pipeline.ledger.backup import back_up, restore
from tests.unit.interleavings.people import People
from tests.unit.interleavings.services import FREE, FRESH
from tests.unit.interleavings.test_any_interleaving import first_versions_serve
from tests.unit.interleavings.world import World

SEED = 3


class Kept:
    """A world with a backup of its ledger."""

    def __init__(self, folder: Path, patched: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.world = World(folder, patched, first_versions_serve())
        self.people = People(self.world)

    def back_up(self) -> None:
        back_up(self.folder / "laurel.db", self.folder / "copy.db")

    def restore(self) -> None:
        """Stop everything, put the copy back, and start again without checkpoints."""
        self.people.stand_up()
        self.world.end()
        restore(self.folder / "copy.db", self.folder / "laurel.db", older=True)
        self.world.attempts.clear()
        self.world.live()
        self.people.sit_down()

    def rest(self) -> None:
        self.world.settle(lambda: None)

    def move(self, version: int) -> None:
        self.people.move(FREE, version)
        self.rest()

    def until_a_canary_runs(self) -> None:
        while (canary := self.world.target.observe(FREE).canary) is None or not canary.percent:
            self.world.work(1, SEED)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    with ExitStack() as end:
        made = Kept(tmp_path, monkeypatch)
        end.callback(made.world.end)
        end.callback(made.people.stand_up)
        yield made


def test_a_promotion_that_ran_when_the_copy_was_made_undoes_nothing_that_came_later(
    kept: Kept,
) -> None:
    kept.people.move(FREE, 2)
    kept.until_a_canary_runs()
    kept.back_up()
    kept.move(3)
    assert kept.world.serves(FREE) == 3
    kept.restore()
    kept.rest()
    assert kept.world.serves(FREE) == 3
    old = kept.world.ledger.promotions.of_service(FREE)[-2]
    assert (old.model.version, old.phase) == (2, Phase.SUPERSEDED)
    newest = kept.world.newest(FREE)
    assert newest is not None
    assert (newest.phase, newest.reason) == (
        Phase.SUCCEEDED,
        "churn already serves churn-scorer/3",
    )
    kept.move(FRESH)
    assert kept.world.serves(FREE) == FRESH
    assert kept.world.judge.wrong == []


def test_a_rollback_that_the_copy_does_not_know_is_not_undone_though_its_service_is_away_at_first(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.people.move(FREE, 2)
    kept.until_a_canary_runs()
    kept.back_up()
    kept.rest()
    assert kept.world.serves(FREE) == 2
    kept.people.roll_back(FREE, None)
    kept.rest()
    assert kept.world.serves(FREE) == 1
    observe = kept.world.target.observe

    def away(service: str) -> object:
        if kept.world.turns.now is not None:  # Laurel asks, and nobody else
            raise UnavailableError("observe", service, "wait")
        return observe(service)

    monkeypatch.setattr(kept.world.target, "observe", away)
    kept.restore()
    kept.world.work(500, SEED)
    monkeypatch.setattr(kept.world.target, "observe", observe)
    kept.rest()
    old, _first = kept.world.ledger.promotions.of_service(FREE)
    assert (old.model.version, old.phase) == (2, Phase.ERRORED)
    assert "is newer" in old.reason
    assert kept.world.serves(FREE) == 1
    hold = kept.world.ledger.holds.get(FREE)
    assert hold is not None
    assert hold.actor == "ada"
    kept.move(FRESH)
    assert kept.world.serves(FREE) == FRESH
