"""What people read: one sentence, who asked, from what to what, and where to look."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain.notice import Urgency
from pipeline.domain.promotion import Kind, Phase
from pipeline.domain.references import ModelVersion
from pipeline.domain.serving import Hold
from pipeline.keeping import attention
from pipeline.notify.rule import topics_of
from pipeline.notify.text import body_of, named, notice_of, plain, trial
from tests.fakes.metrics import Behaviour
from tests.unit.notify.telling import URL, last, told
from tests.unit.promotion_scene import SERVICE, Scene, refuse


def test_an_automatic_rollback_is_loud_and_tells_the_whole_story(one: Scene) -> None:
    one.promote(1)
    one.metrics.behaviour["fraud-00002"] = Behaviour(failing=0.5)
    one.promote(2)
    first, second = one.promotions
    notice = told(one)
    assert first.image is not None
    assert second.image is not None
    assert notice.title == "fraud: AUTOMATIC ROLLBACK of scorer/2"
    assert (notice.urgency, notice.type) == (Urgency.FAILURE, "promotion.failed")
    sentence, asked, moved, link = body_of(notice).split("\n")
    assert sentence == second.reason
    assert asked == "asked for by mlflow (reconciler)"
    assert moved == f"from {first.image.digest} to {second.image.digest}"
    assert link == f"{URL}/promotions/{second.id}"


def test_a_first_image_comes_from_nothing(one: Scene) -> None:
    one.promote(1)
    notice, image = told(one), one.promotions[0].image
    assert image is not None
    assert (notice.title, notice.urgency) == ("fraud: scorer/1 was promoted", Urgency.SUCCESS)
    assert f"from nothing to {image.digest}" in body_of(notice)


def test_what_came_to_no_image_names_none(one: Scene) -> None:
    refuse(one)
    one.promote(1)
    notice = told(one)
    assert (notice.title, notice.urgency) == ("fraud: scorer/1 was not promoted", Urgency.FAILURE)
    assert "from" not in body_of(notice)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.ended])
@pytest.mark.parametrize("kind", Kind)
def test_every_end_has_its_words(one: Scene, kind: Kind, phase: Phase) -> None:
    accepted = one.accept(1, kind=kind, phase=phase, reason="so it was", ended_at=one.clock.now())
    notice = told(one)
    assert notice.type == f"{kind}.{phase}"
    assert notice.title.startswith("fraud: ")
    assert "scorer/1" in notice.title
    assert notice.sentence == accepted.reason
    loud = notice.urgency is Urgency.FAILURE
    assert loud is (phase in {Phase.FAILED, Phase.ERRORED})


def test_a_rollback_that_was_refused_is_loud_and_says_what_it_was(one: Scene) -> None:
    one.accept(1, kind=Kind.ROLLBACK, phase=Phase.FAILED, reason="not signed")
    assert told(one).title == "fraud: THE ROLLBACK to scorer/1 was refused"
    one.accept(1, kind=Kind.ROLLBACK, phase=Phase.SUCCEEDED)
    assert told(one).urgency is Urgency.WARNING


def test_a_hold_is_told_with_its_reason_and_links_to_the_service(one: Scene) -> None:
    one.ledger.holds.set(SERVICE, Hold("ada", "an audit", one.clock.now()))
    notice = told(one, "held")
    assert (notice.title, notice.sentence) == ("fraud: held by ada", "an audit")
    assert (notice.urgency, notice.type) == (Urgency.WARNING, "service.held")
    assert body_of(notice) == f"an audit\n{URL}/services/fraud"
    one.ledger.holds.release(SERVICE, actor="grace", at=one.clock.now())
    released = told(one, "released")
    assert (released.sentence, released.urgency) == ("released by grace", Urgency.INFO)


def test_what_was_changed_by_hand_is_told_in_words(one: Scene) -> None:
    one.promote(1)
    attention(one.ledger, SERVICE, "somebody set another image", one.clock.now())
    notice = told(one, "attention")
    assert (notice.title, notice.type) == ("fraud: changed by hand", "service.drift")
    assert notice.sentence == "somebody set another image"


def test_whoever_asked_is_told_by_name_and_can_call_nobody_else(one: Scene) -> None:
    one.promote(1, reason="")
    entry = last(one, "ended")
    hostile = "@everyone <b>\x1b[31m@HERE\n@channels\u202e ada@example.com"
    worse = replace(entry, data=entry.data | {"reason": hostile})
    notice = notice_of(worse, topics_of(worse, one.ledger), one.promotions[0], URL)
    assert notice.sentence == "@\u200beveryone <b> [31m@\u200bHERE @channels ada@example.com"


@settings(deadline=None)
@given(st.text())
def test_a_text_is_one_line_of_a_bounded_length(text: str) -> None:
    line = plain(text)
    assert len(line) <= 2 * 1000
    assert "\n" not in line
    assert line.replace("\u200b", "").isprintable()
    assert plain("x" * 5000) == "x" * 999 + "…"


def test_a_version_that_nobody_knows_yet_is_not_called_0() -> None:
    assert named(ModelVersion("scorer", 0)) == "scorer"


def test_two_trials_are_two(one: Scene) -> None:
    first, second = (trial(one.clock.now(), URL) for _ in range(2))
    assert first.id != second.id
    assert body_of(first) == f"This channel works. Nothing has happened.\n{URL}"
