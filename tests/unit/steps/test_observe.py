"""What serves before anything is changed, and what is not Laurel's to change."""

import logging
from dataclasses import replace

import pytest

from pipeline.domain.evidence import Observed, Refused
from pipeline.domain.pods import PodPlan
from pipeline.steps.observe import observe
from tests.unit.steps.serving_scene import PLAN, Scene, verified

ADOPTING = replace(PLAN, pods=PodPlan(adopt=True))


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def foreign(scene: Scene) -> Scene:
    scene.target.foreign = "model: sklearn from s3://bucket/fraud"
    return scene


def test_what_laurel_put_there_is_told_as_it_is(scene: Scene) -> None:
    assert observe(verified(2), plan=PLAN, target=scene.target) == Observed(
        scene.target.observe("fraud")
    )


def test_something_foreign_is_refused_with_what_adopting_it_would_change(foreign: Scene) -> None:
    refused = observe(verified(2), plan=PLAN, target=foreign.target)
    assert isinstance(refused, Refused)
    assert refused.reason == (
        "fraud serves model: sklearn from s3://bucket/fraud, which Laurel did not put there: "
        "remove it, choose another service name, or let it be taken over with adopt: true"
    )
    assert refused.evidence["adopting it would change"] == [
        f"fraud: model: sklearn from s3://bucket/fraud -> {verified(2).ref}"
    ]


def test_something_foreign_that_may_be_adopted_goes_on_with_the_difference_shown(
    foreign: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        seen = observe(verified(2), plan=ADOPTING, target=foreign.target)
    line = f"fraud: model: sklearn from s3://bucket/fraud -> {verified(2).ref}"
    assert isinstance(seen, Observed)
    assert seen.adopted == (line,)
    assert "fraud is adopted, it serves model: sklearn" in caplog.text
    assert line in caplog.text


def test_the_very_image_put_there_by_somebody_else_is_not_foreign(foreign: Scene) -> None:
    seen = observe(verified(1), plan=PLAN, target=foreign.target)
    assert isinstance(seen, Observed)
    assert seen.state.serves(verified(1).ref)
