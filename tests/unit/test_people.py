"""One promotion and the people about it: approvals, freezes, places, and who steers a canary."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pipeline.domain.admission import Approval, Frozen, Limits, Rules
from pipeline.domain.evidence import Refused
from pipeline.domain.history import served
from pipeline.domain.promotion import (
    ControlKind,
    Phase,
    Trigger,
    TriggerKind,
    Waiting,
)
from pipeline.domain.references import Digest
from pipeline.trust.deployments import stated_deployments
from tests.fakes.metrics import Behaviour
from tests.unit.promotion_scene import (
    PLAN,
    SERVICE,
    Scene,
    scene,
)
from tests.unit.steering import after, hold, release


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


@pytest.fixture
def serving(one: Scene) -> Scene:
    """Version 1 serves; from now on two people must agree."""
    assert one.promote(1).phase is Phase.SUCCEEDED
    one.plan = replace(PLAN, approvals=2)
    one.rules = Rules(lasts=timedelta(minutes=6))
    return one


def approve(made: Scene, actor: str, image: Digest | None = None) -> Approval | Refused:
    return made.ledger.admissions.approve(
        made.promotions[-1].id, actor=actor, at=made.clock.now(), rules=made.rules, image=image
    )


def kinds(made: Scene) -> list[str]:
    told = ("approved", "admitted", "controlled", "waiting")
    events = made.ledger.events.of(made.promotions[-1].id)
    return [event.kind for event in events if event.kind in told]


def test_two_people_agree_and_then_the_canary_begins(serving: Scene) -> None:
    after(serving, 100, lambda: approve(serving, "ada"))
    after(serving, 200, lambda: approve(serving, "bob"))
    ended = serving.promote(2)
    assert (ended.phase, serving.serves) == (Phase.SUCCEEDED, (2, 0))
    assert kinds(serving) == ["waiting", "approved", "approved", "admitted"]
    admitted = serving.ledger.events.of(serving.promotions[-1].id, kind="admitted")[0].data
    image = serving.promotions[-1].image
    assert image is not None
    assert admitted == {"image": image.digest.value, "approved_by": ["ada", "bob"]}


def test_one_person_is_not_two_nor_is_who_asked(serving: Scene) -> None:
    answers: list[Approval | Refused] = []
    after(serving, 10, lambda: answers.append(approve(serving, "ada")))
    after(serving, 20, lambda: answers.append(approve(serving, "ADA")))
    after(serving, 30, lambda: answers.append(approve(serving, "mlflow")))
    ended = serving.promote(2)
    assert ended.phase is Phase.FAILED
    assert "was not approved within 0.1 h: it needs 1 more of 2 approvals" in ended.reason
    assert serving.serves == (1, 0)
    first, again, asker = answers
    assert first == again
    assert asker == Refused("mlflow asked for the promotion: somebody else must approve it.")


def test_a_word_for_another_image_is_refused_and_says_which_it_is(serving: Scene) -> None:
    answers: list[Approval | Refused] = []
    after(serving, 5, lambda: answers.append(approve(serving, "ada", Digest.of(b"another"))))
    after(serving, 9, lambda: serving.decide(ControlKind.ABORT))
    assert serving.promote(2).phase is Phase.ABORTED
    image = serving.promotions[-1].image
    assert image is not None
    assert answers == [
        Refused(f"The promotion's image is {image.digest}, not that one: look at it again.")
    ]


def test_before_the_image_is_known_and_after_the_end_nobody_approves(serving: Scene) -> None:
    serving.accept(2)
    early = approve(serving, "ada")
    assert isinstance(early, Refused)
    assert "stands at pending and its image is not known yet" in early.reason
    after(serving, 5, lambda: serving.decide(ControlKind.ABORT))
    serving.run(serving.promotions[-1])
    late = approve(serving, "ada")
    assert late == Refused("The promotion has ended aborted: nothing is to be approved.")


def test_a_rollback_waits_for_nobody_and_is_not_approved(serving: Scene) -> None:
    after(serving, 5, lambda: approve(serving, "ada"))
    after(serving, 6, lambda: approve(serving, "bob"))
    assert serving.promote(2).phase is Phase.SUCCEEDED
    serving.freezes.window = Frozen(serving.clock.now() + timedelta(days=9), "quiet")
    before = serving.clock.now()
    assert serving.roll_back_to(serving.promotions[0].image).phase is Phase.SUCCEEDED
    assert serving.clock.now() == before
    assert "admit" not in serving.steps()
    serving.accept(1, alias=None, target=serving.promotions[0].image)
    assert isinstance(approve(serving, "ada"), Refused)


def test_what_serves_already_asks_nobody(serving: Scene) -> None:
    ended = serving.promote(1)
    assert ended.reason == "fraud already serves scorer/1"
    assert kinds(serving) == []


def test_an_abort_ends_the_wait_within_a_second(serving: Scene) -> None:
    after(serving, 50, lambda: serving.decide(ControlKind.ABORT))
    began = serving.clock.now()
    assert serving.promote(2).phase is Phase.ABORTED
    assert serving.clock.now() - began <= timedelta(seconds=52)
    assert serving.target.shifts == []


def test_an_alias_that_moves_while_people_think_ends_it_before_traffic(serving: Scene) -> None:
    def move() -> None:
        serving.models.point("scorer", "champion", 3)
        approve(serving, "ada")
        approve(serving, "bob")

    after(serving, 50, move)
    assert serving.promote(2).phase is Phase.SUPERSEDED
    assert serving.serves == (1, 0)
    assert serving.target.shifts == []


def test_a_frozen_service_begins_no_canary_and_goes_on_afterwards(one: Scene) -> None:
    one.promote(1)
    until = one.clock.now() + timedelta(minutes=5)
    one.freezes.window = Frozen(until, "a quiet weekend")
    seen: list[tuple[Waiting | None, list[int]]] = []
    after(one, 60, lambda: seen.append((one.promotions[-1].waiting, list(one.target.shifts))))
    assert one.promote(2).phase is Phase.SUCCEEDED
    [(waiting, shifts)] = seen
    assert waiting is not None
    assert (waiting.for_, waiting.until, shifts) == ("freeze", until, [])
    assert one.clock.now() > until


def test_a_freeze_in_the_middle_raises_nothing_and_costs_no_deadline(one: Scene) -> None:
    one.promote(1)
    one.plan = replace(PLAN, canary=replace(PLAN.canary, interval=30, deadline=70))
    seen: list[int] = []

    def freeze() -> None:
        one.freezes.window = Frozen(one.clock.now() + timedelta(minutes=5), "quiet")

    after(one, 20, freeze)
    after(one, 200, lambda: seen.append(one.serves[1]))
    assert one.promote(2).phase is Phase.SUCCEEDED
    assert seen == [10]


def test_a_bad_canary_goes_back_in_a_freeze_too(one: Scene) -> None:
    one.promote(1)
    until = one.clock.now() + timedelta(days=2)

    def freeze_and_break() -> None:
        one.freezes.window = Frozen(until, "quiet")
        one.metrics.behaviour["fraud-00002"] = Behaviour(failing=0.5)

    after(one, 20, freeze_and_break)
    ended = one.promote(2)
    assert (ended.phase, one.serves) == (Phase.FAILED, (1, 0))
    assert one.clock.now() < until


def test_a_first_deploy_waits_for_the_end_of_a_freeze_without_a_place(one: Scene) -> None:
    one.rules = Rules(limits=Limits(canaries=1))
    one.freezes.window = Frozen(one.clock.now() + timedelta(minutes=2), "quiet")
    assert one.promote(1).phase is Phase.SUCCEEDED
    assert one.clock.elapsed >= 120


def test_a_pause_keeps_the_percent_until_it_is_resumed(one: Scene) -> None:
    one.promote(1)
    one.plan = replace(PLAN, canary=replace(PLAN.canary, interval=30))
    seen: list[tuple[int, str | None]] = []

    def look() -> None:
        waiting = one.promotions[-1].waiting
        seen.append((one.serves[1], None if waiting is None else waiting.for_))

    after(one, 20, lambda: one.decide(ControlKind.PAUSE))
    after(one, 300, look)
    after(one, 301, lambda: one.decide(ControlKind.RESUME))
    assert one.promote(2).phase is Phase.SUCCEEDED
    assert seen == [(10, "resume")]


def test_a_pause_before_the_canary_keeps_it_from_beginning(one: Scene) -> None:
    one.promote(1)
    one.at_step("verify", lambda: one.decide(ControlKind.PAUSE))
    seen: list[list[int]] = []
    after(one, 100, lambda: seen.append(list(one.target.shifts)))
    after(one, 101, lambda: one.decide(ControlKind.RESUME))
    assert one.promote(2).phase is Phase.SUCCEEDED
    assert seen == [[]]


def test_a_hold_keeps_a_canary_of_the_alias_at_its_percent_until_it_is_released(one: Scene) -> None:
    one.promote(1)
    one.plan = replace(PLAN, canary=replace(PLAN.canary, interval=30, deadline=70))
    seen: list[tuple[int, str | None]] = []

    def look() -> None:
        waiting = one.promotions[-1].waiting
        seen.append((one.serves[1], None if waiting is None else waiting.for_))

    after(one, 20, lambda: hold(one))
    after(one, 300, look)
    after(one, 301, lambda: release(one))
    assert one.promote(2).phase is Phase.SUCCEEDED
    assert seen == [(10, "release")]


def test_a_hold_before_the_canary_of_the_alias_keeps_it_from_beginning(one: Scene) -> None:
    one.promote(1)
    one.at_step("verify", lambda: hold(one))
    seen: list[list[int]] = []
    after(one, 100, lambda: seen.append(list(one.target.shifts)))
    after(one, 101, lambda: release(one))
    assert one.promote(2).phase is Phase.SUCCEEDED
    assert seen == [[]]
    waited = one.ledger.events.of(one.promotions[-1].id, kind="waiting")[0].data
    assert waited["for"] == "release"
    assert waited["reason"] == "scorer/2 waits: the service is held by ada: an incident"


def test_a_bad_canary_goes_back_under_a_hold_too(one: Scene) -> None:
    one.promote(1)

    def hold_and_break() -> None:
        hold(one)
        one.metrics.behaviour["fraud-00002"] = Behaviour(failing=0.5)

    after(one, 20, hold_and_break)
    ended = one.promote(2)
    assert (ended.phase, one.serves) == (Phase.FAILED, (1, 0))


def test_what_a_person_asked_for_goes_on_under_a_hold(one: Scene) -> None:
    one.promote(1)
    hold(one)
    by_ada = Trigger(TriggerKind.CLI, "ada", one.clock.now())
    assert one.promote(2, trigger=by_ada).phase is Phase.SUCCEEDED
    assert one.serves == (2, 0)


def test_who_completes_a_canary_outranks_a_hold(one: Scene) -> None:
    one.promote(1)
    after(one, 20, lambda: hold(one))
    after(one, 60, lambda: one.decide(ControlKind.COMPLETE, "it is fine"))
    assert one.promote(2).phase is Phase.SUCCEEDED
    assert one.clock.elapsed < 120


def test_who_completes_a_canary_ends_it_well_by_name_even_where_nobody_can_count(
    one: Scene,
) -> None:
    one.promote(1)
    one.metrics.rate = 0.0
    after(one, 100, lambda: one.decide(ControlKind.COMPLETE, "the pilot users are happy"))
    ended = one.promote(2)
    assert (ended.phase, one.serves) == (Phase.SUCCEEDED, (2, 0))
    assert ended.reason == (
        "fraud serves scorer/2; its canary was ended well by ada: the pilot users are happy"
    )


def test_a_killed_worker_loses_neither_word_nor_place(serving: Scene) -> None:
    class KilledError(BaseException):
        """Nothing catches it."""

    def die() -> None:
        raise KilledError

    promotion = serving.accept(2)
    after(serving, 10, lambda: approve(serving, "ada"))
    after(serving, 20, die)
    with pytest.raises(KilledError):
        serving.run(promotion)
    after(serving, 10, lambda: approve(serving, "bob"))
    assert serving.run(promotion).phase is Phase.SUCCEEDED
    assert kinds(serving) == ["waiting", "approved", "approved", "admitted"]


def test_once_let_in_a_restart_asks_nobody_again_though_words_have_aged(serving: Scene) -> None:
    class KilledError(BaseException):
        """Nothing catches it."""

    def die() -> None:
        raise KilledError

    serving.plan = replace(serving.plan, canary=replace(PLAN.canary, interval=60))
    promotion = serving.accept(2)
    after(serving, 5, lambda: (approve(serving, "ada"), approve(serving, "bob")))
    after(serving, 30, die)
    with pytest.raises(KilledError):
        serving.run(promotion)
    assert serving.serves[1] == 10
    serving.clock.sleep(8 * 86_400)
    serving.freezes.window = Frozen(serving.clock.now() + timedelta(minutes=2), "quiet")
    assert serving.run(promotion).phase is Phase.SUCCEEDED
    assert kinds(serving) == ["waiting", "approved", "approved", "admitted"]
    image, tools = serving.promotions[-1].image, serving.tools
    assert image is not None
    stated = stated_deployments(image, SERVICE, registry=tools.images, policy=tools.policy)
    assert [each.deployment.approved_by for each in stated] == [("ada", "bob")]
    path = served(serving.ledger.history.fate(SERVICE))
    assert [each.approved_by for each in path] == [(), ("ada", "bob")]


def test_the_history_of_people_is_one_chain(serving: Scene) -> None:
    after(serving, 5, lambda: (approve(serving, "ada"), approve(serving, "bob")))
    serving.promote(2)
    entries = serving.ledger.history.entries(SERVICE)
    numbers = [entry.number for entry in entries]
    assert numbers == list(range(1, len(entries) + 1))
    assert {"approved", "admitted", "waiting"} <= {entry.kind for entry in entries}
