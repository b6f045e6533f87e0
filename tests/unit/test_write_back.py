"""MLflow is told how promotions ended, on the version where people clicked; never in a hurry."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.domain.promotion import Kind, Phase
from pipeline.domain.references import Alias
from pipeline.errors import ForbiddenError
from pipeline.write_back import WriteBack
from tests.unit.promotion_scene import MODEL, SERVICE, Scene, refuse, scene


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def tell(one: Scene) -> WriteBack:
    one.ledger.states.observed(one.target.observe(SERVICE), one.clock.now())
    write_back = WriteBack(one.ledger, one.models, one.clock)
    write_back.tick()
    return write_back


def tags(one: Scene, version: int) -> dict[str, str]:
    tags = next(v for m, v in one.models.versions.items() if m.version == version).tags
    return {k.removeprefix("laurel.fraud."): v for k, v in tags.items() if k.startswith("laurel")}


def test_a_good_end_is_told_with_image_and_url(one: Scene) -> None:
    one.promote(1)
    tell(one)
    told = tags(one, 1)
    assert told.pop("laurel.updated_at").endswith("Z")
    assert told == {
        "phase": "succeeded",
        "promotion": "p-1",
        "serving": "true",
        "image": str(one.promotions[0].image),
        "url": "http://fraud.test",
    }


def test_the_version_that_served_before_is_told_too(one: Scene) -> None:
    one.promote(1)
    tell(one)
    one.promote(2)
    tell(one)
    assert (tags(one, 1)["serving"], tags(one, 2)["serving"]) == ("false", "true")
    assert tags(one, 1)["phase"] == "succeeded"


def test_a_version_is_told_though_the_one_before_it_was_deleted(one: Scene) -> None:
    one.promote(1)
    tell(one)
    one.promote(2)
    del one.models.versions[one.promotions[0].model]
    tell(one)
    assert tags(one, 2)["serving"] == "true"


def test_a_bad_end_is_told_and_what_serves_keeps_its_tags(one: Scene) -> None:
    one.promote(1)
    tell(one)
    refuse(one)
    assert one.promote(2).phase is Phase.FAILED
    tell(one)
    assert (tags(one, 1)["serving"], tags(one, 2)["serving"]) == ("true", "false")
    assert tags(one, 2)["phase"] == "failed"
    assert "image" not in tags(one, 2)


def test_a_rollback_puts_the_tag_back(one: Scene) -> None:
    for version in (1, 2):
        one.promote(version)
        tell(one)
    one.roll_back_to(one.promotions[0].image)
    tell(one)
    assert (tags(one, 1)["serving"], tags(one, 2)["serving"]) == ("true", "false")


def test_an_end_is_told_once(one: Scene) -> None:
    one.promote(1)
    tell(one)
    reads = one.models.reads
    tell(one)
    assert one.models.reads == reads


def test_nothing_is_lost_while_mlflow_is_away_and_it_is_not_asked_all_the_time(
    one: Scene,
) -> None:
    one.promote(1)
    one.models.away = True
    write_back = tell(one)
    reads = one.models.reads
    write_back.tick()
    assert one.models.reads == reads
    one.models.away = False
    one.clock.sleep(10)
    write_back.tick()
    assert tags(one, 1)["phase"] == "succeeded"


@pytest.mark.parametrize("fault", ["forbidden", "deleted"])
def test_what_can_never_be_told_is_noted_and_left(one: Scene, fault: str) -> None:
    one.promote(1)
    if fault == "deleted":
        one.models.versions.clear()
    else:
        one.models.at_read = forbid
    write_back = tell(one)
    reads = one.models.reads
    write_back.tick()
    assert one.models.reads == reads
    (warning,) = one.ledger.events.of(one.promotions[0].id, kind="warning")
    assert "MLflow was not told all of it" in warning.data["warning"]


def forbid() -> None:
    raise ForbiddenError("write tags", MODEL, "give Laurel EDIT")


def test_a_promotion_that_has_not_ended_is_not_told(one: Scene) -> None:
    one.accept(1)
    tell(one)
    assert tags(one, 1) == {}


def rolled_back(one: Scene, *, move_alias: bool = False) -> None:
    """Let version 2 take over, then go back to 1, with the alias still on 2; tell nobody yet."""
    one.promote(1)
    one.promote(2)
    image = one.promotions[0].image
    plan = replace(one.plan, move_alias=move_alias)
    accepted = one.accept(1, kind=Kind.ROLLBACK, target=image, plan=plan, alias=None)
    one.models.point(MODEL, "champion", 2)
    assert one.run(accepted).phase is Phase.SUCCEEDED


def named(one: Scene) -> int | None:
    return one.models.alias(Alias(MODEL, "champion"))


def moved(one: Scene) -> list[dict[str, object]]:
    return [e.data for e in one.ledger.events.of(one.promotions[-1].id, kind="alias_moved")]


def test_a_rollback_moves_the_alias_only_where_that_was_asked(one: Scene) -> None:
    rolled_back(one)
    tell(one)
    assert named(one) == 2
    assert moved(one) == []


def test_a_rollback_moves_the_alias_back_once_and_tells_so(one: Scene) -> None:
    rolled_back(one, move_alias=True)
    write_back = tell(one)
    assert named(one) == 1
    assert moved(one) == [{"alias": "champion", "from": 2, "to": 1}]
    one.models.point(MODEL, "champion", 2)  # somebody wants it after all
    write_back.tick()
    assert named(one) == 2


@pytest.mark.parametrize("elsewhere", [3, None, 1])
def test_an_alias_that_has_a_newer_meaning_is_left_alone(one: Scene, elsewhere: int | None) -> None:
    rolled_back(one, move_alias=True)
    one.models.point(MODEL, "champion", elsewhere)
    tell(one)
    assert named(one) == elsewhere
    assert moved(one) == []


def test_an_alias_is_left_alone_where_a_newer_promotion_began(one: Scene) -> None:
    rolled_back(one, move_alias=True)
    one.accept(2)
    tell(one)
    assert named(one) == 2
    assert all(one.ledger.events.of(each.id, kind="alias_moved") == [] for each in one.promotions)


def test_an_alias_is_moved_once_mlflow_is_back(one: Scene) -> None:
    rolled_back(one, move_alias=True)
    one.models.away = True
    write_back = tell(one)
    one.models.away = False
    one.clock.sleep(10)
    write_back.tick()
    assert named(one) == 1
