"""What a rollback returns to, over histories written oldest first."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Kind, Phase, Promotion, Trigger, TriggerKind
from pipeline.domain.references import Digest, ImageRef, ModelVersion
from pipeline.domain.rollback import AlreadyBack, Impossible, Stop, go_back, may_return, serving
from pipeline.errors import InvalidReferenceError

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
_numbers = count(1)
OPEN = [Phase.PENDING, Phase.RUNNING]
ENDED_BADLY = [Phase.FAILED, Phase.ERRORED, Phase.ABORTED, Phase.SUPERSEDED]


def image(version: int) -> ImageRef:
    return ImageRef("ml/fraud", Digest(f"sha256:{version:064x}"))


def digest(version: int) -> str:
    return str(image(version).digest)


def promoted(
    version: int, phase: Phase = Phase.SUCCEEDED, *, before: int | None = None
) -> Promotion:
    number = next(_numbers)
    return Promotion(
        id=f"p{number}",
        sequence=number,
        service="fraud",
        kind=Kind.PROMOTION,
        phase=phase,
        plan=Plan("fraud", "fraud-scorer"),
        model=ModelVersion("fraud-scorer", version),
        trigger=Trigger(TriggerKind.WEBHOOK, "mlflow", NOW),
        created_at=NOW,
        image=image(version),
        previous_image=None if before is None else image(before),
    )


def rolled_back(version: int, phase: Phase = Phase.SUCCEEDED, *, before: int) -> Promotion:
    made = promoted(version, phase, before=before)
    reached = made.image if phase is Phase.SUCCEEDED else None
    return replace(made, kind=Kind.ROLLBACK, image=reached, target=image(version))


def newest_first(*promotions: Promotion) -> list[Promotion]:
    return list(reversed(promotions))


def version_of(answer: Stop | AlreadyBack | Impossible) -> int:
    assert isinstance(answer, Stop)
    assert answer.image == image(answer.model.version)
    return answer.model.version


def test_a_completed_promotion_goes_back_to_what_served_before_it() -> None:
    history = newest_first(promoted(1), promoted(2, before=1), promoted(3, before=2))
    assert version_of(go_back(history)) == 2
    assert serving(history) == image(3)


@pytest.mark.parametrize("phase", OPEN)
def test_a_promotion_in_flight_goes_back_to_what_is_stable(phase: Phase) -> None:
    history = newest_first(promoted(1), promoted(2, before=1), promoted(3, phase))
    assert version_of(go_back(history)) == 2


@pytest.mark.parametrize("phase", [*OPEN, Phase.SUCCEEDED])
def test_asked_again_it_is_already_done(phase: Phase) -> None:
    undone = rolled_back(1, phase, before=2)
    history = newest_first(promoted(1), promoted(2, before=1), undone)
    assert go_back(history) == AlreadyBack(undone)


@pytest.mark.parametrize("phase", ENDED_BADLY)
def test_a_promotion_that_ended_badly_has_gone_back_by_itself(phase: Phase) -> None:
    failed = promoted(3, phase, before=2)
    history = newest_first(promoted(1), promoted(2, before=1), failed)
    assert go_back(history) == AlreadyBack(failed)


@pytest.mark.parametrize("phase", ENDED_BADLY)
def test_a_rollback_that_did_not_happen_may_be_asked_for_again(phase: Phase) -> None:
    history = newest_first(promoted(1), promoted(2, before=1), rolled_back(1, phase, before=2))
    assert version_of(go_back(history)) == 1


def test_a_promotion_of_what_served_already_is_not_what_is_undone() -> None:
    first, second = promoted(1), promoted(2, before=1)
    for nothing in (replace(promoted(2), image=None), promoted(2, before=2)):
        assert version_of(go_back(newest_first(first, second, nothing))) == 1


def test_what_failed_stays_undone_though_the_alias_returned_to_what_serves() -> None:
    failed = promoted(3, Phase.FAILED, before=2)
    history = newest_first(promoted(1), promoted(2, before=1), failed, promoted(2, before=2))
    assert go_back(history) == AlreadyBack(failed)


def test_what_another_hand_put_there_in_between_is_what_served_before() -> None:
    answer = go_back(newest_first(promoted(1), promoted(3, before=2)))
    assert isinstance(answer, Stop)
    assert answer.image == image(2)


@pytest.mark.parametrize(
    "history",
    [[], [promoted(1)], [promoted(1, Phase.RUNNING)], [replace(promoted(1), image=None)]],
    ids=["nothing", "first", "first in flight", "nothing built"],
)
def test_before_the_first_there_is_nothing(history: list[Promotion]) -> None:
    answer = go_back(history)
    assert isinstance(answer, Impossible)
    assert answer.choices == ()
    assert "nothing served before" in answer.reason


def test_what_the_target_served_before_laurel_knew_it_can_be_returned_to() -> None:
    answer = go_back([promoted(2, before=1)])
    assert isinstance(answer, Stop)
    assert answer.image == image(1)
    assert answer.model == ModelVersion("fraud-scorer", 0)


def test_after_a_rollback_a_new_promotion_is_undone_to_where_the_rollback_led() -> None:
    history = newest_first(
        promoted(1), promoted(2, before=1), rolled_back(1, before=2), promoted(3, before=1)
    )
    assert version_of(go_back(history)) == 1
    assert version_of(go_back(history, "-1")) == 1


def test_deeper_goes_along_what_served_and_not_through_what_was_undone() -> None:
    history = newest_first(
        promoted(1),
        promoted(2, before=1),
        promoted(3, before=2),
        rolled_back(2, before=3),
    )
    assert version_of(go_back(history, "-1")) == 1
    assert isinstance(go_back(history, "-2"), Impossible)


def test_a_rollback_to_what_was_undone_goes_on_from_what_served() -> None:
    again = rolled_back(2, before=1)
    history = newest_first(promoted(1), promoted(2, before=1), rolled_back(1, before=2), again)
    assert serving(history) == image(2)
    assert version_of(go_back(history, "-1")) == 1


def test_a_digest_or_a_version_names_what_was_served() -> None:
    history = newest_first(promoted(1), promoted(2, before=1), promoted(3, before=2))
    assert version_of(go_back(history, digest(1))) == 1
    assert version_of(go_back(history, "1")) == 1
    assert version_of(go_back(history, "02")) == 2


def test_what_serves_is_not_gone_back_to() -> None:
    latest = promoted(3, before=1)
    history = newest_first(promoted(1), latest)
    for to in (digest(3), "3"):
        assert go_back(history, to) == AlreadyBack(latest)


def test_what_serves_is_gone_back_to_while_something_else_is_on_its_way() -> None:
    history = newest_first(promoted(1), promoted(2, before=1), promoted(3, Phase.RUNNING))
    assert version_of(go_back(history, "2")) == 2


def test_what_is_on_its_way_back_is_not_asked_for_twice() -> None:
    running = rolled_back(1, Phase.RUNNING, before=3)
    history = newest_first(promoted(1), promoted(2, before=1), promoted(3, before=2), running)
    assert go_back(history, digest(1)) == AlreadyBack(running)
    assert version_of(go_back(history, digest(2))) == 2


@pytest.mark.parametrize("to", [digest(9), "9", "-3"])
def test_what_was_never_served_is_impossible_and_the_choices_are_named(to: str) -> None:
    history = newest_first(
        promoted(1), promoted(2, before=1), promoted(9, Phase.FAILED, before=2), promoted(3)
    )
    answer = go_back(history, to)
    assert isinstance(answer, Impossible)
    assert answer.choices == (digest(2), digest(1))


@pytest.mark.parametrize("to", ["", "-0", "0", "latest", "sha256:12", "sha512:" + "a" * 64, "-x"])
def test_anything_else_names_nothing(to: str) -> None:
    with pytest.raises(InvalidReferenceError):
        go_back([promoted(1)], to)


@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(Phase)), max_size=12))
def test_a_rollback_never_returns_to_what_serves_unless_something_is_in_flight(
    story: list[tuple[int, Phase]],
) -> None:
    told: list[Promotion] = []
    now: int | None = None
    for version, phase in story:
        told.append(promoted(version, phase, before=now))
        now = version if phase is Phase.SUCCEEDED else now
    history = newest_first(*told)
    assert serving(history) == (None if now is None else image(now))
    answer = go_back(history)
    if isinstance(answer, Stop) and not any(p.phase in OPEN for p in told):
        assert answer.image != serving(history)


def test_what_was_served_may_return_until_a_person_takes_it_away() -> None:
    one, two = promoted(1), promoted(2, before=1)
    assert may_return(newest_first(one, two), image(1))
    assert not may_return(newest_first(one, two), image(3))
    undone = rolled_back(1, before=2)
    assert not may_return(newest_first(one, two, undone), image(2))
    assert may_return(newest_first(one, two, undone), image(1))
    assert may_return(newest_first(one, two, undone, promoted(2, before=1)), image(2))
    failed = rolled_back(1, Phase.FAILED, before=2)
    assert may_return(newest_first(one, two, failed), image(2))
