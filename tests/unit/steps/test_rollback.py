"""Traffic back on stable, observed before it is said."""

import pytest

from pipeline.errors import ConflictError
from pipeline.steps.rollback import restore
from tests.fakes.serving_target import FakeServingTarget
from tests.unit.steps.serving_scene import PLAN, SERVICE, Scene, verified


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.target.shift(SERVICE, scene.new, 25, 2)
    return scene


def test_stable_takes_everything_back_and_the_canary_is_gone(scene: Scene) -> None:
    restore(SERVICE, sequence=2, target=scene.target)
    state = scene.target.observe(SERVICE)
    assert state.canary is None
    assert state.stable is not None
    assert (state.stable.name, state.stable.percent) == (scene.stable, 100)


def test_restoring_again_changes_nothing(scene: Scene) -> None:
    restore(SERVICE, sequence=2, target=scene.target)
    before = scene.target.observe(SERVICE)
    restore(SERVICE, sequence=2, target=scene.target)
    assert scene.target.observe(SERVICE) == before


def test_a_first_deploy_that_ends_badly_leaves_nothing() -> None:
    target = FakeServingTarget()
    target.deploy(PLAN, verified(1), 1)
    restore(SERVICE, sequence=1, target=target)
    state = target.observe(SERVICE)
    assert (state.stable, state.canary) == (None, None)


def test_an_older_promotion_leaves_a_newer_ones_traffic_alone(scene: Scene) -> None:
    restore(SERVICE, sequence=1, target=scene.target)
    assert scene.percent == 25


class Inert(FakeServingTarget):
    """Takes orders and does nothing."""

    def restore(self, service: str, sequence: int) -> None:
        del service, sequence


def test_traffic_is_not_called_back_before_it_is_observed(scene: Scene) -> None:
    inert = Inert()
    inert.services = scene.target.services
    with pytest.raises(ConflictError, match="the canary still takes 25 %; look again"):
        restore(SERVICE, sequence=2, target=inert)


def test_a_canary_that_is_still_going_but_takes_nothing_is_no_conflict(scene: Scene) -> None:
    inert = Inert()
    inert.services = scene.target.services
    inert.shift(SERVICE, scene.new, 0, 2)
    restore(SERVICE, sequence=2, target=inert)
