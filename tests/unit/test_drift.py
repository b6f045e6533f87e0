"""What was changed by hand is reported, healed or adopted, as the service's settings say."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.domain.pods import Drift, PodPlan
from pipeline.domain.promotion import Kind, Phase
from pipeline.domain.references import Digest, ImageRef
from pipeline.domain.rollback import Stop, go_back, serving
from pipeline.domain.serving import Hold
from pipeline.drift import AGAIN_AFTER, SOMEBODY, Mender
from pipeline.errors import ForbiddenError, UnavailableError
from pipeline.keeping import Keeper
from pipeline.trust.statements import DEPLOYMENT
from tests.unit.promotion_scene import PLAN, SERVICE, Scene, scene
from tests.unit.test_keeping import attentions

UNSIGNED = ImageRef("ml/fraud", Digest.of(b"theirs"))
DRIFT = "somebody set the image to another one: promote it, or put it back"


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Scene]:
    """Version 2 was promoted and rolled back: version 1 serves."""
    with scene(tmp_path) as made:
        made.promote(1)
        made.promote(2)
        made.roll_back_to(made.promotions[0].image)
        yield made


class Machine:
    """The two loops of a worker that look, and act on what they see."""

    def __init__(self, of: Scene, drift: Drift) -> None:
        plans = {SERVICE: replace(PLAN, pods=PodPlan(drift=drift))}
        self.scene = of
        self._keeper = Keeper(of.ledger, of.target, of.clock, plans)
        self._mender = Mender(of.ledger, of.tools, plans)

    def turn(self) -> None:
        self._keeper.keep()
        self._mender.tick()


def second(of: Scene) -> ImageRef:
    image = of.promotions[1].image
    assert image is not None
    return image


def stable(of: Scene) -> ImageRef | None:
    state = of.target.observe(SERVICE)
    return None if state.stable is None else state.stable.image


def test_by_default_it_is_reported_and_nothing_more(one: Scene) -> None:
    machine = Machine(one, Drift.REPORT)
    one.target.edit(SERVICE, second(one), DRIFT)
    for _ in range(3):
        machine.turn()
    assert stable(one) == second(one)
    assert attentions(one) == [DRIFT]
    assert len(one.promotions) == 3


def test_healed_it_is_as_the_last_promotion_left_it_and_that_is_told(one: Scene) -> None:
    machine = Machine(one, Drift.HEAL)
    one.target.edit(SERVICE, second(one), DRIFT)
    machine.turn()
    assert stable(one) == one.promotions[0].image
    assert attentions(one) == [DRIFT, f"put back what was changed by hand: {DRIFT}"]
    machine.turn()
    assert len(attentions(one)) == 2


def test_two_who_fight_over_a_service_do_so_once_a_minute(one: Scene) -> None:
    machine = Machine(one, Drift.HEAL)
    for _ in range(5):
        one.target.edit(SERVICE, second(one), DRIFT)
        machine.turn()
    assert stable(one) == second(one)
    one.clock.sleep(AGAIN_AFTER.total_seconds())
    machine.turn()
    assert stable(one) == one.promotions[0].image


@pytest.mark.parametrize("drift", [Drift.HEAL, Drift.ADOPT])
def test_while_a_promotion_is_open_nothing_is_mended(one: Scene, drift: Drift) -> None:
    machine = Machine(one, drift)
    one.target.edit(SERVICE, second(one), DRIFT)
    accepted = one.accept(3)
    machine.turn()
    assert (stable(one), one.target.observe(SERVICE).drift) == (second(one), DRIFT)
    one.ledger.promotions.change(accepted.id, phase=Phase.FAILED)
    machine.turn()
    assert one.target.observe(SERVICE).drift == ""


@pytest.mark.parametrize("drift", [Drift.HEAL, Drift.ADOPT])
def test_what_was_put_back_by_the_person_meanwhile_is_left_alone(one: Scene, drift: Drift) -> None:
    machine = Machine(one, drift)
    one.target.edit(SERVICE, second(one), DRIFT)
    machine._keeper.keep()
    one.target.edit(SERVICE, one.promotions[0].image, "")
    machine._mender.tick()
    assert attentions(one) == [DRIFT]
    assert len(one.promotions) == 3


def test_adopted_it_is_a_promotion_that_a_rollback_finds_its_way_by(one: Scene) -> None:
    machine = Machine(one, Drift.ADOPT)
    one.target.edit(SERVICE, second(one), DRIFT)
    machine.turn()
    adopted = one.promotions[-1]
    assert (adopted.kind, adopted.phase, adopted.sequence) == (Kind.PROMOTION, Phase.SUCCEEDED, 4)
    assert (adopted.image, adopted.previous_image) == (second(one), one.promotions[0].image)
    assert (adopted.model.version, adopted.trigger.actor) == (2, SOMEBODY)
    assert adopted.reason == f"scorer/2 was put there by hand, and is adopted: {DRIFT}"
    assert one.target.observe(SERVICE).drift == ""
    history = one.ledger.promotions.of_service(SERVICE)
    assert serving(history) == second(one)
    back = go_back(history)
    assert isinstance(back, Stop)
    assert back.image == one.promotions[0].image


def test_an_adopted_image_is_held_there_and_its_deployment_is_stated(one: Scene) -> None:
    machine = Machine(one, Drift.ADOPT)
    one.target.edit(SERVICE, second(one), DRIFT)
    before = deployments(one)
    machine.turn()
    hold = one.ledger.holds.get(SERVICE)
    assert hold is not None
    assert (hold.actor, hold.reason) == (SOMEBODY, "scorer/2 was put there by hand")
    assert deployments(one) == before + 1
    machine.turn()
    assert one.target.observe(SERVICE).hold == hold
    assert (deployments(one), len(one.promotions)) == (before + 1, 4)


def deployments(of: Scene) -> int:
    listed = of.images.referrers("ml/fraud", second(of).digest)
    return [d.annotations["dev.sigstore.bundle.predicateType"] for d in listed].count(DEPLOYMENT)


def test_a_hold_that_stands_already_is_not_replaced_by_adoption(one: Scene) -> None:
    machine = Machine(one, Drift.ADOPT)
    one.target.edit(SERVICE, second(one), DRIFT)
    one.ledger.holds.set(SERVICE, Hold("ada", "audit", one.clock.now()))
    machine.turn()
    hold = one.ledger.holds.get(SERVICE)
    assert hold is not None
    assert hold.actor == "ada"


def test_an_image_that_does_not_verify_is_not_adopted_and_it_is_said_why(one: Scene) -> None:
    machine = Machine(one, Drift.ADOPT)
    one.target.edit(SERVICE, UNSIGNED, DRIFT)
    for _ in range(3):
        machine.turn()
    told = attentions(one)
    assert told[0] == DRIFT
    assert told[1].startswith("what was changed by hand is not adopted: ml/fraud@sha256:")
    assert "is not to be trusted: manifest: there is no manifest" in told[1]
    assert len(told) == 2
    assert one.target.observe(SERVICE).drift == DRIFT
    assert (len(one.promotions), one.ledger.holds.get(SERVICE)) == (3, None)


def test_an_edit_that_leaves_the_image_is_adopted_without_a_promotion(one: Scene) -> None:
    machine = Machine(one, Drift.ADOPT)
    one.target.edit(SERVICE, None, "somebody set the memory to 2Gi")
    machine.turn()
    assert one.target.observe(SERVICE).drift == ""
    assert (len(one.promotions), one.ledger.holds.get(SERVICE)) == (3, None)


def test_what_does_not_serve_everything_yet_is_not_adopted(
    one: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Machine(one, Drift.ADOPT)
    observe = one.target.observe
    one.target.edit(SERVICE, second(one), DRIFT)
    state = observe(SERVICE)
    assert state.stable is not None
    half = replace(state, stable=replace(state.stable, percent=60))
    monkeypatch.setattr(one.target, "observe", lambda _service: half)
    machine.turn()
    monkeypatch.setattr(one.target, "observe", observe)
    assert len(one.promotions) == 3


@pytest.mark.parametrize("drift", [Drift.HEAL, Drift.ADOPT])
def test_what_is_not_laurels_is_neither_healed_nor_adopted(one: Scene, drift: Drift) -> None:
    machine = Machine(one, drift)
    one.target.edit(SERVICE, second(one), DRIFT)
    one.target.foreign = "docker.io/someone/else"
    machine.turn()
    assert one.target.observe(SERVICE).drift == DRIFT


@pytest.mark.parametrize(
    "fault",
    [
        UnavailableError("restore", SERVICE, "its API server does not answer"),
        ForbiddenError("restore", SERVICE, "grant patch on inferenceservices"),
    ],
)
def test_a_fault_is_told_once_and_tried_again(
    one: Scene, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    machine, put_back = Machine(one, Drift.HEAL), one.target.restore

    def faulty(*_: object) -> None:
        raise fault

    monkeypatch.setattr(one.target, "restore", faulty)
    one.target.edit(SERVICE, second(one), DRIFT)
    for _ in range(3):
        machine.turn()
        one.clock.sleep(AGAIN_AFTER.total_seconds())
    assert attentions(one)[1:] == [f"what was changed by hand stays for now: {fault}"]
    monkeypatch.setattr(one.target, "restore", put_back)
    machine.turn()
    assert stable(one) == one.promotions[0].image


def test_a_newer_promotion_by_another_ledger_is_not_undone(one: Scene) -> None:
    machine = Machine(one, Drift.HEAL)
    one.target.edit(SERVICE, second(one), DRIFT)
    machine._keeper.keep()
    restore = one.target.restore

    def overtaken(service: str, sequence: int) -> None:
        one.target.services[SERVICE].sequence = 99
        restore(service, sequence)

    one.target.restore = overtaken  # type: ignore[method-assign]  # a hook, in this scene alone
    machine._mender.tick()
    assert stable(one) == second(one)
    assert attentions(one) == [DRIFT]
