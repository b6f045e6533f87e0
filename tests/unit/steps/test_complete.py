"""All traffic, observed before it is said."""

from dataclasses import replace

import pytest

from pipeline.domain.evidence import Analysis, Served
from pipeline.errors import ConflictError, StaleSequenceError
from pipeline.steps.complete import complete
from tests.fakes.serving_target import FakeServingTarget
from tests.unit.steps.serving_scene import SERVICE, Scene


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.mark.parametrize("analysed", [True, False])
def test_the_revision_takes_all_traffic(scene: Scene, *, analysed: bool) -> None:
    evidence = Analysis(scene.revision, ()) if analysed else scene.revision
    served = complete(evidence, sequence=2, target=scene.target)
    assert served == Served(SERVICE, scene.new, scene.revision.image, "http://fraud.test")
    stable = scene.target.observe(SERVICE).stable
    assert stable is not None
    assert (stable.name, stable.percent) == (scene.new, 100)


class Tidy(FakeServingTarget):
    """Serves what it was asked to by a revision of its own making, as one that cleans up does."""

    def complete(self, service: str, revision: str, sequence: int) -> None:
        super().complete(service, revision, sequence)
        found = self.services[service]
        found.revisions["fresh"] = replace(found.revisions[revision], name="fresh")
        found.stable = "fresh"


def test_the_same_image_in_a_revision_of_another_name_is_what_was_asked_for(scene: Scene) -> None:
    tidy = Tidy()
    tidy.services = scene.target.services
    served = complete(scene.revision, sequence=2, target=tidy)
    assert (served.revision, served.image) == ("fresh", scene.revision.image)


def test_completing_again_changes_nothing(scene: Scene) -> None:
    once = complete(scene.revision, sequence=2, target=scene.target)
    assert complete(scene.revision, sequence=2, target=scene.target) == once


def test_an_older_promotion_may_not_complete(scene: Scene) -> None:
    with pytest.raises(StaleSequenceError):
        complete(scene.revision, sequence=1, target=scene.target)


class Inert(FakeServingTarget):
    """Takes orders and does nothing."""

    def complete(self, service: str, revision: str, sequence: int) -> None:
        del service, revision, sequence


@pytest.mark.parametrize(("served", "named"), [(True, "fraud-00001 at 100 %"), (False, "nothing")])
def test_success_is_not_said_before_it_is_observed(
    scene: Scene, *, served: bool, named: str
) -> None:
    inert = Inert()
    if served:
        inert.services = scene.target.services
    with pytest.raises(ConflictError, match=f"it serves {named}; look again"):
        complete(scene.revision, sequence=2, target=inert)


def test_a_revision_that_shares_traffic_has_not_taken_all_of_it(scene: Scene) -> None:
    inert = Inert()
    inert.services = scene.target.services
    inert.shift(SERVICE, scene.new, 25, 2)
    stable = replace(scene.revision, revision=scene.stable)
    with pytest.raises(ConflictError, match="it serves fraud-00001 at 75 %; look again"):
        complete(stable, sequence=2, target=inert)
