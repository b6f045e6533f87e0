"""``kill -9`` of the worker's process group at every step: each promotion ends, as if undisturbed.

One promotion is killed at the end of every step in turn, before the engine has its checkpoint;
another in the middle of every step; a third while its traffic is put back.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.domain.promotion import Control, ControlKind, Phase, Promotion
from pipeline.promote import STEPS
from tests.acceptance.conftest import Registered, Start, laurels, registered
from tests.servers.laurel import Laurel, Traffic, one_at_a_time
from tests.servers.mlflow import MlflowServer
from tests.servers.waiting import until

pytestmark = pytest.mark.xdist_group("killed")
FORWARD = tuple(name for name, _ in STEPS if name not in {"stand_by", "restore"})


def serve_first(laurel: Laurel, model: Registered) -> None:
    model.add()
    model.point(1)
    assert laurel.ended(1).phase is Phase.SUCCEEDED, laurel.story()


@pytest.fixture(scope="module")
def undisturbed(
    mlflow_server: MlflowServer, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Registered, Laurel, Start]]:
    """Promote versions 1 and 2 in a Laurel that nobody kills."""
    folder = tmp_path_factory.mktemp("undisturbed")
    model = registered(mlflow_server, folder)
    with laurels(model, cache, folder) as start:
        laurel = start()
        serve_first(laurel, model)
        model.add()
        with laurel.traffic():
            model.point(2)
            assert laurel.ended(2).phase is Phase.SUCCEEDED, laurel.story()
        laurel.kill()
        yield model, laurel, start


def seconds_of_each_step(laurel: Laurel, promotion: Promotion) -> dict[str, float]:
    began: dict[str, datetime] = {}
    lasted: dict[str, float] = {}
    for event in laurel.ledger.events.of(promotion.id):
        if event.kind == "step_started":
            began[event.data["name"]] = event.at
        elif event.kind == "step_ended":
            name = event.data["name"]
            lasted[name] = (event.at - began[name]).total_seconds()
    return lasted


def killed_at_each(laurel: Laurel, points: list[str], model: Registered) -> Traffic:
    """Promote version 2, killed at each of the points, and return what the front answered."""
    laurel.start()
    assert laurel.ended(1).phase is Phase.SUCCEEDED, laurel.story()
    laurel.kill()
    with laurel.traffic() as seen:
        model.point(2)
        for point in points:
            laurel.start(point=point)
            laurel.died()
        laurel.start()
        laurel.ended(2)
    return seen


@pytest.mark.parametrize("where", ["at the boundary", "in the middle"])
def test_worker_killed_at_every_step(
    where: str, undisturbed: tuple[Registered, Laurel, Start]
) -> None:
    model, quiet, start = undisturbed
    expected = quiet.promotions()[1]
    lasted = seconds_of_each_step(quiet, expected)
    points = [
        f"step_ended:{name}"
        if where == "at the boundary"
        else f"step_started:{name}:{lasted[name] / 2:f}"
        for name in FORWARD
    ]
    model.point(1)
    victim = start(None)
    seen = killed_at_each(victim, points, model)
    first, second = victim.promotions()
    assert second.phase is Phase.SUCCEEDED, victim.story()
    assert second.image == expected.image
    assert one_at_a_time([first, second])
    state = victim.state()
    assert state.canary is None
    assert state.stable is not None
    assert (state.stable.image, state.stable.percent) == (expected.image, 100)
    assert {status for status, _ in seen} == {200}, seen
    assert {answer for _, answer in seen} == {"1", "2"}
    until(lambda: victim.ask() == (200, "2"), "version 2 answers")


ENOUGH_TO_BE_SURE = {"steps": [50], "interval": "300ms", "min_samples": 40, "look_every": "50ms"}
"""A canary that fails every request is called after some twenty; a step must not end before."""


@pytest.mark.parametrize("how", ["failed", "aborted"])
def test_worker_killed_while_traffic_is_put_back(
    how: str, laurel: Start, model: Registered
) -> None:
    victim = laurel(canary=ENOUGH_TO_BE_SURE)
    serve_first(victim, model)
    model.add(fails=how == "failed")
    victim.kill()
    with victim.traffic() as seen:
        model.point(2)
        victim.start(point="step_started:restore")
        if how == "aborted":
            victim.event(2, "look", percent=50)
            abort(victim)
        victim.died()
        victim.start(point="step_ended:restore")
        victim.died()
        victim.start()
        assert victim.ended(2).phase.value == how, victim.story()
        until(lambda: victim.state().canary is None, "no canary is left")
        before, stable = (seen[200, "2"], seen[500, "2"]), seen[200, "1"]
        until(lambda: seen[200, "1"] > stable + 100, "stable answers")
    assert (seen[200, "2"], seen[500, "2"]) == before
    assert len(victim.promotions()) == 2


def abort(laurel: Laurel) -> None:
    """Record a person's decision, as the receiver does."""
    promotion = laurel.promotions()[-1]
    at = datetime.now(UTC)
    laurel.ledger.controls.add(promotion.id, Control(ControlKind.ABORT, "ada", "no", at))
