"""Who may be let into traffic: whose word counts, and whose turn it is."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.admission import LASTS, Approval, Limits, in_turn, person, standing
from pipeline.domain.promotion import Control, ControlKind, Steering
from pipeline.domain.references import Digest
from tests.fakes.clock import START

IMAGE, OTHER = Digest.of(b"one"), Digest.of(b"another")
ACTORS = (
    "ada",
    "Ada",
    "bob",
    "github:cy (acme/models)",
    "github:cy (acme/other)",
    "github:dee (a/b)",
)
approvals = st.lists(
    st.builds(
        Approval,
        actor=st.sampled_from(ACTORS),
        image=st.sampled_from([IMAGE, OTHER]),
        comment=st.just(""),
        at=st.integers(0, 20).map(lambda days: START - timedelta(days=days)),
    )
)


def said(actor: str, image: Digest = IMAGE, days_ago: float = 0) -> Approval:
    return Approval(actor, image, "", START - timedelta(days=days_ago))


def counted(*given: Approval, requester: str = "mlflow:champion") -> list[str]:
    found = standing(given, image=IMAGE, requester=requester, now=START, lasts=LASTS)
    return [approval.actor for approval in found]


def test_the_same_person_counts_once_whatever_they_wrote_from() -> None:
    cy = said("github:cy (acme/models)"), said("github:cy (acme/other)")
    assert counted(said("ada"), said("ADA"), *cy) == ["ada", "github:cy (acme/models)"]


def test_who_asked_agrees_with_nobody() -> None:
    assert counted(said("ada"), said("bob"), requester="Ada") == ["bob"]
    assert counted(said("github:cy (a/b)"), requester="github:cy (c/d)") == []


def test_a_word_about_another_image_or_of_long_ago_does_not_count() -> None:
    assert counted(said("ada", OTHER), said("bob", days_ago=7), said("cy", days_ago=6.9)) == ["cy"]


def test_a_word_that_was_given_again_counts_again() -> None:
    assert counted(said("ada", days_ago=8), said("ada")) == ["ada"]


def test_what_stands_in_brackets_is_part_of_any_other_name() -> None:
    assert person("ada (the first)") == "ada (the first)"


@given(approvals, st.sampled_from(ACTORS))
def test_nobody_counts_twice_nor_for_themselves_nor_in_vain(
    given_by: list[Approval], requester: str
) -> None:
    found = standing(given_by, image=IMAGE, requester=requester, now=START, lasts=LASTS)
    people = [person(each.actor) for each in found]
    assert len(set(people)) == len(people)
    assert person(requester) not in people
    assert all(each.image == IMAGE and START - each.at < LASTS for each in found)
    assert set(found) <= set(given_by)
    fresh = {person(a.actor) for a in given_by if a.image == IMAGE and START - a.at < LASTS}
    assert set(people) == fresh - {person(requester)}


names = st.sampled_from(["a", "b"])
limits = st.builds(Limits, st.none() | st.integers(1, 4), st.none() | st.integers(1, 3))


@given(limits, st.lists(names, max_size=4), st.lists(names, min_size=1, max_size=6))
def test_whoever_goes_in_turn_fits_and_the_oldest_that_fits_goes_first(
    limit: Limits, before: list[str], queue: list[str]
) -> None:
    waiting = [(str(number), namespace) for number, namespace in enumerate(queue)]
    let_in = [who for who, _ in waiting if in_turn(limit, before, waiting, who)]
    held = list(before)
    for who, namespace in waiting:
        fits = limit.fit(held, namespace)
        assert (who in let_in) == fits
        if fits:
            held.append(namespace)
    if limit.canaries is not None and len(before) <= limit.canaries:
        assert len(held) <= limit.canaries
    if limit.per_namespace is not None:
        for namespace in "ab":
            already = before.count(namespace)
            assert held.count(namespace) <= max(limit.per_namespace, already)


def test_who_does_not_wait_has_no_turn() -> None:
    assert not in_turn(Limits(1), [], [("other", "")], "me")


def control(kind: ControlKind) -> Control:
    return Control(kind, "ada", "", START)


@given(st.lists(st.sampled_from(ControlKind)))
def test_the_last_word_steers_and_who_completes_resumes(kinds: list[ControlKind]) -> None:
    steering = Steering()
    for kind in kinds:
        steering = steering.after(control(kind))
    steers = [kind for kind in kinds if not kind.ends]
    assert (steering.paused is not None) == (steers[-1:] == [ControlKind.PAUSE])
    assert (steering.completed is not None) == (ControlKind.COMPLETE in steers)
