"""Which images may go: never one that is served, running, held, within reach, young or foreign."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Kind, Phase, Promotion
from pipeline.domain.references import ImageRef, ModelVersion
from pipeline.domain.retention import (
    YOUNG,
    Needs,
    ServiceRecord,
    StoredImage,
    judge,
    needs_of,
)
from pipeline.domain.rollback import Stop, go_back, serving, within_reach
from pipeline.domain.serving import Hold, Readiness, Revision, ServiceState
from tests.unit.domain.test_rollback import (
    ENDED_BADLY,
    NOW,
    OPEN,
    image,
    newest_first,
    promoted,
    rolled_back,
)

MODEL = "fraud-scorer"
OLD = NOW - timedelta(days=400)


def stored(version: int, **changes: object) -> StoredImage:
    made = StoredImage(image(version), ModelVersion(MODEL, version), OLD)
    return replace(made, **changes)  # type: ignore[arg-type]  # fields, by name


def revision(version: int) -> Revision:
    return Revision(f"fraud-{version}", image(version), 100, Readiness.READY)


def serves(stable: int | None, canary: int | None = None) -> ServiceState:
    return ServiceState(
        "fraud",
        "http://fraud",
        stable=None if stable is None else revision(stable),
        canary=None if canary is None else revision(canary),
    )


def kept(service: ServiceRecord, version: int, keep: int = 1) -> str:
    """Say why the image of a version stays; ``""`` where it goes."""
    judged = judge(stored(version), needs_of([service], keep), NOW)
    return "" if judged.goes else judged.why


def test_what_nothing_needs_goes() -> None:
    history = newest_first(promoted(1), promoted(2, before=1), promoted(3, before=2))
    service = ServiceRecord("fraud", history, (serves(3),))
    judged = judge(stored(1), needs_of([service], 2), NOW)
    assert judged.goes
    assert judged.why == "no service, history, hold or promotion needs it"


def test_what_serves_stays_also_where_no_promotion_tells_of_it() -> None:
    service = ServiceRecord("fraud", states=(serves(1, 2), serves(3)))
    assert [kept(service, version) for version in (1, 2, 3, 4)] == ["fraud serves it"] * 3 + [""]


def test_the_last_images_that_were_served_stay() -> None:
    history = newest_first(*[promoted(n, before=n - 1 or None) for n in range(1, 6)])
    service = ServiceRecord("fraud", history)
    assert [bool(kept(service, n, keep=3)) for n in range(1, 6)] == [False, False, True, True, True]
    assert kept(service, 3, keep=3) == "one of the last 3 that fraud served"


def test_what_a_rollback_can_count_back_to_stays_however_many_came_and_went() -> None:
    story = [promoted(1), promoted(2, before=1)]
    for version in range(3, 9):
        story += [promoted(version, before=2), rolled_back(2, before=version)]
    history = newest_first(*story)
    found = go_back(history, "-1")
    assert isinstance(found, Stop)
    assert found.image == image(1)
    assert image(1) in within_reach(history, 3)
    assert kept(ServiceRecord("fraud", history), 1, keep=3)


@pytest.mark.parametrize("phase", OPEN)
def test_what_a_running_promotion_works_with_or_may_recall_stays(phase: Phase) -> None:
    running = replace(promoted(4, phase, before=2), image=None, target=image(3))
    service = ServiceRecord("fraud", [running])
    for version in (2, 3, 4):
        assert kept(service, version) != ""
    assert f"promotion {running.id} of fraud has not ended" in kept(service, 4)
    assert not kept(service, 5)


def test_while_nobody_has_read_the_alias_every_image_of_the_model_stays() -> None:
    asked = promoted(1, Phase.PENDING)
    asked = replace(asked, image=None, model=replace(asked.model, version=0))
    assert "has not ended" in kept(ServiceRecord("fraud", [asked]), 7)
    other = stored(7, model=ModelVersion("another", 7))
    assert judge(other, needs_of([ServiceRecord("fraud", [asked])], 1), NOW).goes


@pytest.mark.parametrize("phase", ENDED_BADLY)
def test_what_may_be_retried_stays_for_as_many_promotions_as_history_goes_back(
    phase: Phase,
) -> None:
    bad = promoted(2, phase, before=1)
    history = newest_first(promoted(1), bad)
    assert "may be retried" in kept(ServiceRecord("fraud", history), 2)
    assert not kept(ServiceRecord("fraud", [promoted(3, before=1), *history]), 2)


def test_the_version_that_a_hold_refers_to_stays_under_old_and_new_settings() -> None:
    hold = Hold("ada", "no more", NOW, alias_version=6)
    before = ServiceRecord("fraud", [promoted(1)], hold=hold)
    assert kept(before, 6) == "the hold of fraud refers to its version"
    after = replace(before, history=(), plan=Plan("fraud", MODEL))
    assert kept(after, 6) == "the hold of fraud refers to its version"
    assert not kept(replace(after, plan=None), 6)
    assert not kept(replace(after, hold=replace(hold, alias_version=None)), 6)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": None}, "Laurel did not build it"),
        ({"since": None}, "nobody knows how old it is"),
        ({"since": NOW - YOUNG + timedelta(seconds=1)}, "it is younger than a day"),
        ({"since": NOW + timedelta(days=9)}, "it is younger than a day"),  # a clock was set back
        ({"strange": "somebody tagged it: best"}, "somebody tagged it: best"),
    ],
)
def test_what_is_foreign_young_or_of_unknown_age_stays(
    changes: dict[str, object], why: str
) -> None:
    judged = judge(stored(1, **changes), Needs(), NOW)
    assert (judged.goes, judged.why) == (False, why)
    assert judge(stored(1, since=NOW - YOUNG), Needs(), NOW).goes


@pytest.mark.parametrize("model", [ModelVersion(MODEL, 1), None])
def test_nothing_goes_from_a_repository_that_could_not_be_read(model: ModelVersion | None) -> None:
    needs = Needs(unread={"ml/fraud": "fraud cannot be observed"})
    judged = judge(stored(1, model=model), needs, NOW)
    assert (judged.goes, judged.why) == (False, "fraud cannot be observed")


def test_another_repositorys_image_of_the_same_digest_is_not_what_serves() -> None:
    copy = ImageRef("prod/fraud", image(1).digest)
    service = ServiceRecord("fraud", states=(serves(1),))
    assert judge(stored(1, ref=copy), needs_of([service], 1), NOW).goes


_VERSIONS = st.integers(1, 8)
_PHASES = st.sampled_from(list(Phase))


@st.composite
def histories(draw: st.DrawFn) -> Sequence[Promotion]:
    """Draw a service's promotions, newest first, as careless as a ledger may be."""
    made: list[Promotion] = []
    for _ in range(draw(st.integers(0, 12))):
        version, before = draw(_VERSIONS), draw(st.none() | _VERSIONS)
        phase, known = draw(_PHASES), draw(st.booleans())
        each = promoted(version, phase, before=before)
        if draw(st.booleans()):
            each = replace(each, kind=Kind.ROLLBACK, target=image(draw(_VERSIONS)))
        made.append(each if known else replace(each, image=None))
    return newest_first(*made)


@given(
    history=histories(),
    states=st.lists(st.builds(serves, st.none() | _VERSIONS, st.none() | _VERSIONS), max_size=2),
    held=st.none() | _VERSIONS,
    keep=st.integers(1, 5),
    age=st.integers(0, 72),
)
def test_nothing_that_is_needed_ever_goes(
    history: Sequence[Promotion],
    states: list[ServiceState],
    held: int | None,
    keep: int,
    age: int,
) -> None:
    hold = Hold("ada", "", NOW, held)
    service = ServiceRecord("fraud", history, tuple(states), hold, Plan("fraud", MODEL))
    needs = needs_of([ServiceRecord("other"), service], keep)
    since = NOW - timedelta(hours=age)
    gone = {
        version for version in range(1, 9) if judge(stored(version, since=since), needs, NOW).goes
    }
    images = {image(version) for version in gone}
    assert age >= 24 or not gone
    assert held not in gone
    for state in states:
        assert images.isdisjoint(r.image for r in (state.stable, state.canary) if r)
    for promotion in history:
        if not promotion.phase.ended:
            assert promotion.model.version not in gone
            assert images.isdisjoint({promotion.image, promotion.target, promotion.previous_image})
    assert serving(history) not in images
    for back in range(1, keep):
        found = go_back(history, f"-{back}")
        assert not isinstance(found, Stop) or found.image not in images
    undone = go_back(history)
    assert keep == 1 or not isinstance(undone, Stop) or undone.image not in images
