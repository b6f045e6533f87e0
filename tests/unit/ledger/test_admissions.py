"""Several who decide at the same moment: each is told what the ledger made of it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.domain.admission import Admitted, Approval, Frozen, Limits, Rules, Wait
from pipeline.domain.evidence import Refused
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import (
    Control,
    ControlKind,
    Kind,
    Phase,
    Promotion,
    Trigger,
    TriggerKind,
    Waiting,
)
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.errors import NotFoundError
from pipeline.ledger import Entrance, Ledger
from tests.fakes.clock import START
from tests.unit.ledgers import open_ledger

IMAGE = ImageRef("ml/fraud", Digest.of(b"one"))
RULES = Rules()


def accepted(ledger: Ledger, number: int, *, approvals: int = 0, namespace: str = "") -> Promotion:
    """Accept a promotion of a service of its own whose image is known."""
    service = f"s-{number}"
    draft = Promotion(
        id=f"p-{number:03}",
        sequence=0,
        service=service,
        kind=Kind.PROMOTION,
        phase=Phase.PENDING,
        plan=Plan(service, "m", approvals=approvals, namespace=namespace),
        model=ModelVersion("m", 1),
        trigger=Trigger(TriggerKind.API, "eve", START),
        created_at=START,
    )
    ledger.promotions.accept(draft)
    return ledger.promotions.change(draft.id, image=IMAGE, phase=Phase.RUNNING)


def enter(
    ledger: Ledger, promotion: Promotion, limits: Limits | None = None, *, place: bool = True
) -> object:
    """Ask as a worker does: who must wait for a place says so."""
    rules = replace(RULES, limits=limits or Limits())
    answer = ledger.admissions.enter(
        promotion.id, Entrance(IMAGE.digest, rules, place, None, START)
    )
    if isinstance(answer, Wait):
        ledger.promotions.change(promotion.id, waiting=Waiting(answer.for_, START))
    return answer


def approve(ledger: Ledger, promotion: Promotion, actor: str, link: str | None = None) -> object:
    return ledger.admissions.approve(promotion.id, actor=actor, at=START, rules=RULES, link=link)


def test_of_many_who_ask_at_once_only_as_many_get_a_place_as_there_are(ledger: Ledger) -> None:
    promotions = [accepted(ledger, number) for number in range(8)]
    together = threading.Barrier(8)

    def ask(promotion: Promotion) -> object:
        together.wait()
        return enter(ledger, promotion, Limits(canaries=3))

    with ThreadPoolExecutor(8) as people:
        answers = list(people.map(ask, promotions))
    assert sum(isinstance(answer, Admitted) for answer in answers) == 3
    waits = [answer for answer in answers if isinstance(answer, Wait)]
    assert {wait.for_ for wait in waits} == {"canaries"}


def test_a_place_is_free_again_when_its_promotion_ends_and_the_oldest_gets_it(
    ledger: Ledger,
) -> None:
    first, second, third = (accepted(ledger, number) for number in range(3))
    one = Limits(canaries=1)
    assert isinstance(enter(ledger, first, one), Admitted)
    assert isinstance(enter(ledger, second, one), Wait)
    assert isinstance(enter(ledger, third, one), Wait)
    ledger.promotions.change(first.id, phase=Phase.FAILED, ended_at=START)
    assert isinstance(enter(ledger, third, one), Wait)
    assert isinstance(enter(ledger, second, one), Admitted)
    assert isinstance(enter(ledger, second, one), Admitted)


def test_a_namespace_has_places_of_its_own(ledger: Ledger) -> None:
    here, too, there = (accepted(ledger, n, namespace=name) for n, name in enumerate("aab"))
    each = Limits(per_namespace=1)
    assert isinstance(enter(ledger, here, each), Admitted)
    assert isinstance(enter(ledger, too, each), Wait)
    assert isinstance(enter(ledger, there, each), Admitted)


def test_who_needs_no_place_takes_none(ledger: Ledger) -> None:
    first, second = accepted(ledger, 1), accepted(ledger, 2)
    assert isinstance(enter(ledger, first, Limits(canaries=1), place=False), Admitted)
    assert isinstance(enter(ledger, second, Limits(canaries=1)), Admitted)


def test_two_approvers_at_the_same_moment_are_two_and_the_same_one_is_one(ledger: Ledger) -> None:
    promotion = accepted(ledger, 1, approvals=2)
    together = threading.Barrier(8)

    def agree(actor: str) -> object:
        together.wait()
        return approve(ledger, promotion, actor)

    with ThreadPoolExecutor(8) as people:
        answers = list(people.map(agree, ["ada", "bob"] * 4))
    assert len(set(answers)) == 2
    assert [each.actor for each in ledger.admissions.approvals(promotion.id)] in (
        ["ada", "bob"],
        ["bob", "ada"],
    )
    kinds = [event.kind for event in ledger.events.of(promotion.id)]
    assert kinds.count("approved") == 2
    assert isinstance(enter(ledger, promotion), Admitted)


def test_an_abort_and_the_last_approval_at_the_same_moment_have_one_winner(
    ledger: Ledger,
) -> None:
    for number in range(6):
        promotion = accepted(ledger, number, approvals=1)
        abort = Control(ControlKind.ABORT, "eve", "no", START)
        acts = (
            lambda p=promotion, c=abort: ledger.controls.add(p.id, c),
            lambda p=promotion: (approve(ledger, p, "ada"), enter(ledger, p))[1],
        )
        with ThreadPoolExecutor(2) as people:
            answer = [each.result() for each in [people.submit(act) for act in acts]][1]
        kinds = [event.kind for event in ledger.events.of(promotion.id)]
        if isinstance(answer, Admitted):
            assert kinds.index("admitted") < kinds.index("controlled")
        else:
            assert answer == abort
            assert "admitted" not in kinds


def test_who_was_let_in_needs_no_more_words(ledger: Ledger) -> None:
    promotion = accepted(ledger, 1, approvals=1)
    assert isinstance(approve(ledger, promotion, "ada"), Approval)
    assert isinstance(enter(ledger, promotion), Admitted)
    late = approve(ledger, promotion, "bob")
    assert late == Refused("The promotion stands at running and was let in already.")


def test_who_needs_no_approval_is_told_so(ledger: Ledger) -> None:
    answer = approve(ledger, accepted(ledger, 1), "ada")
    assert answer == Refused("The promotion stands at running and needs no approval.")


def test_a_link_works_once(ledger: Ledger) -> None:
    promotion = accepted(ledger, 1, approvals=2)
    assert ledger.admissions.used("nonce") is None
    agreed = approve(ledger, promotion, "ada", "nonce")
    assert isinstance(agreed, Approval)
    assert ledger.admissions.used("nonce") == agreed
    assert approve(ledger, promotion, "bob", "nonce") == Refused(
        "This link was used; ask for another one."
    )
    event = ledger.events.of(promotion.id, kind="approved")[0].data
    assert (event["actor"], event["by"]) == ("ada", "link")


def test_an_invitation_is_recorded_and_only_who_could_approve_gets_one(ledger: Ledger) -> None:
    promotion = accepted(ledger, 1, approvals=1)
    day = {"at": START, "until": START + timedelta(days=1)}
    assert ledger.admissions.invite(promotion.id, actor="ada", by=None, **day) == IMAGE.digest
    refused = ledger.admissions.invite(promotion.id, actor="eve", by="eve", **day)
    assert isinstance(refused, Refused)
    assert refused.reason.startswith("eve asked for the promotion")
    told = [event.data for event in ledger.events.of(promotion.id, kind="invited")]
    assert [(each["actor"], each["by"], each["image"]) for each in told] == [
        ("ada", None, IMAGE.digest.value)
    ]
    assert ledger.admissions.objection(promotion.id, actor="ada", image=IMAGE.digest) is None
    assert ledger.admissions.approvals(promotion.id) == ()


def test_a_freeze_and_a_pause_keep_out(ledger: Ledger) -> None:
    promotion = accepted(ledger, 1)
    frozen = Frozen(START + timedelta(hours=1), "quiet")
    asked = Entrance(IMAGE.digest, RULES, place=False, frozen=frozen, at=START)
    assert ledger.admissions.enter(promotion.id, asked) == Wait("freeze", "quiet", frozen.until)
    ledger.controls.add(promotion.id, Control(ControlKind.PAUSE, "ada", "", START))
    assert ledger.admissions.enter(promotion.id, asked) == Wait("resume", "paused by ada")
    ledger.controls.add(promotion.id, Control(ControlKind.RESUME, "ada", "", START))
    asked = replace(asked, frozen=None)
    assert isinstance(ledger.admissions.enter(promotion.id, asked), Admitted)


def test_nobody_decides_about_a_promotion_that_is_not_there(ledger: Ledger) -> None:
    with pytest.raises(NotFoundError):
        ledger.admissions.approve("p", actor="ada", at=START, rules=RULES)


acts = st.lists(
    st.tuples(st.sampled_from(["enter", "end", "approve", "abort"]), st.integers(0, 4)),
    max_size=25,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts, st.integers(1, 3))
def test_whatever_happens_in_any_order_no_more_hold_a_place_than_may(
    tmp_path_factory: pytest.TempPathFactory, order: list[tuple[str, int]], limit: int
) -> None:
    ledger = open_ledger(tmp_path_factory.mktemp("any-order"))
    promotions = [accepted(ledger, number, approvals=number % 2) for number in range(5)]
    inside: set[int] = set()
    for act, who in order:
        promotion = promotions[who]
        if act == "enter" and ledger.promotions.get(promotion.id) is not None:
            now = ledger.promotions.get(promotion.id)
            assert now is not None
            if not now.phase.ended and isinstance(
                enter(ledger, promotion, Limits(limit)), Admitted
            ):
                inside.add(who)
        elif act == "end":
            ledger.promotions.change(promotion.id, phase=Phase.FAILED, ended_at=START)
            inside.discard(who)
        elif act == "approve":
            approve(ledger, promotion, "ada")
        else:
            ledger.controls.add(promotion.id, Control(ControlKind.ABORT, "eve", "no", START))
        assert len(inside) <= limit
    for who in inside:
        kinds = [event.kind for event in ledger.events.of(promotions[who].id)]
        assert kinds.count("admitted") == 1
        assert "approved" in kinds or not promotions[who].plan.approvals
    ledger.close()
