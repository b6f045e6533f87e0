"""An image made at the prompt: the same steps as a promotion's, without ledger and traffic."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from pipeline.at_once import AtOnce
from pipeline.domain.evidence import Refused, VerifiedImage
from pipeline.domain.promotion import Phase
from pipeline.errors import ForbiddenError, RateLimitedError, UnavailableError
from pipeline.promote import prepare
from pipeline.run import Ended
from tests.unit.promotion_scene import MODEL, SERVICE, Scene, scene

AWAY = UnavailableError("read", "the registry", "is it running?")


@dataclass
class Prompt:
    """A person at the prompt, in a scene of their own."""

    scene: Scene
    told: list[str] = field(default_factory=list)

    def steps(self, version: int, *, rebuild: bool = False) -> AtOnce:
        promotion = replace(self.scene.accept(version), rebuild=rebuild)
        return AtOnce(promotion, self.scene.clock, self.told.append)

    def build(self, version: int, *, rebuild: bool = False) -> VerifiedImage:
        self.told.clear()
        return prepare(self.steps(version, rebuild=rebuild), self.scene.tools)


@pytest.fixture
def prompt(tmp_path: Path) -> Iterator[Prompt]:
    with scene(tmp_path) as made:
        yield Prompt(made)


def test_an_image_is_made_verified_and_remembered_and_nothing_else_happens(prompt: Prompt) -> None:
    image = prompt.build(1)
    assert image.model.version == 1
    assert prompt.told == [
        *("resolve", "check", "recall", "describe", "lock", "build", "smoke", "sign"),
        *("verify", "remember"),
    ]
    assert prompt.scene.target.services == {}
    (accepted,) = prompt.scene.ledger.events.of(prompt.scene.promotions[0].id)
    assert accepted.kind == "accepted"


def test_the_same_version_again_is_its_image(prompt: Prompt) -> None:
    assert prompt.build(1) == prompt.build(1)
    assert prompt.told == ["resolve", "check", "recall", "verify", "remember"]


def test_a_rebuild_makes_another_image(prompt: Prompt) -> None:
    assert prompt.build(1).ref != prompt.build(1, rebuild=True).ref


def test_a_promotion_finds_what_was_built_at_the_prompt(prompt: Prompt) -> None:
    image = prompt.build(1)
    assert prompt.scene.promote(1).phase is Phase.SUCCEEDED
    assert prompt.scene.promotions[-1].image == image.ref
    assert "build" not in prompt.scene.steps()


def test_the_alias_may_move_while_it_is_built(prompt: Prompt) -> None:
    steps = prompt.steps(1)
    prompt.scene.models.point(MODEL, "champion", 2)
    assert prepare(steps, prompt.scene.tools).model.version == 1


def test_a_no_ends_it_with_its_reason(prompt: Prompt) -> None:
    prompt.scene.resolver.refusal = Refused("a clashes with b")
    with pytest.raises(Ended) as ended:
        prompt.build(1)
    assert ended.value.phase is Phase.FAILED
    assert "a clashes with b" in ended.value.reason
    assert SERVICE not in prompt.scene.target.services


def test_what_is_away_is_asked_three_times(prompt: Prompt) -> None:
    faults: list[UnavailableError | RateLimitedError] = [AWAY]
    faults.append(RateLimitedError("read", "the registry", "slow down", retry_after=3600))

    def step() -> int:
        if faults:
            raise faults.pop(0)
        return 1

    assert prompt.steps(1).step(step) == 1
    assert prompt.scene.clock.slept == [1, 4]
    assert [line.partition(":")[0] for line in prompt.told] == ["step", "step again", "step again"]


def test_what_stays_away_or_is_forbidden_is_raised(prompt: Prompt) -> None:
    def away() -> int:
        raise AWAY

    def forbidden() -> int:
        raise ForbiddenError("read", "the registry", "ask for access")

    with pytest.raises(UnavailableError):
        prompt.steps(1).step(away)
    with pytest.raises(ForbiddenError):
        prompt.steps(1).step(forbidden)
    assert prompt.scene.clock.slept == [1, 4]
