from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.references import Digest, ImageRef
from pipeline.domain.serving import Hold
from pipeline.errors import NotFoundError, StaleSequenceError
from pipeline.local.desired import Deployed, Desired


def image(version: int) -> Deployed:
    return Deployed(ImageRef("fraud", Digest.of(b"%d" % version)), version)


def serving(version: int) -> Desired:
    return Desired("fraud").deploy(image(version), 1).complete("fraud-00001", 1)


def test_a_first_canary_takes_nothing_until_it_is_complete() -> None:
    deployed = Desired("fraud").deploy(image(1), 1)
    assert deployed.traffic == {}
    assert deployed.complete("fraud-00001", 1).traffic == {"fraud-00001": 100}


def test_stable_takes_what_the_canary_does_not() -> None:
    shifted = serving(1).deploy(image(2), 2).shift("fraud-00002", 10, 2)
    assert shifted.traffic == {"fraud-00001": 90, "fraud-00002": 10}


def test_stable_itself_cannot_be_shifted() -> None:
    shifted = serving(1).shift("fraud-00001", 10, 2)
    assert shifted.traffic == {"fraud-00001": 100}


def test_what_served_before_stays_and_what_served_earlier_goes() -> None:
    third = serving(1).deploy(image(2), 2).complete("fraud-00002", 2)
    third = third.deploy(image(3), 3).complete("fraud-00003", 3)
    assert third.revisions.keys() == {"fraud-00002", "fraud-00003"}
    assert (third.stable, third.warm) == ("fraud-00003", "fraud-00002")


def test_a_number_is_never_used_again() -> None:
    restored = serving(1).deploy(image(2), 2).restore(2)
    assert restored.deploy(image(2), 3).canary == "fraud-00003"


def test_a_warm_revision_comes_back_as_the_canary() -> None:
    second = serving(1).deploy(image(2), 2).complete("fraud-00002", 2)
    back = second.deploy(image(1), 3)
    assert (back.canary, back.warm, back.running(image(1))) == ("fraud-00001", None, "fraud-00001")


def test_an_older_promotion_is_refused_with_the_newer_one_s_sequence() -> None:
    with pytest.raises(StaleSequenceError, match="promotion 1"):
        serving(1).restore(0)


def test_what_does_not_run_cannot_take_traffic() -> None:
    with pytest.raises(NotFoundError, match="fraud-00007"):
        serving(1).complete("fraud-00007", 2)


def test_the_record_reads_back_as_it_was() -> None:
    shifted = serving(1).deploy(image(2), 2).shift("fraud-00002", 10, 2)
    assert Desired.from_json(shifted.to_json()) == shifted
    hold = Hold("ada", "audit", datetime(2026, 11, 21, tzinfo=UTC), 7)
    assert Desired.from_json(shifted.held(hold).to_json()) == shifted.held(hold) != shifted


def test_a_record_from_before_there_were_holds_reads_as_not_held() -> None:
    said = serving(1).to_json()
    del said["hold"]
    assert Desired.from_json(said) == serving(1)


def test_a_service_that_never_was_cannot_be_held() -> None:
    hold = Hold("ada", "audit", datetime(2026, 11, 21, tzinfo=UTC))
    assert Desired("fraud").held(hold) == Desired("fraud")


promotions = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(["complete", "restore", "leave"])), max_size=8
)


@given(promotions)
def test_whatever_is_promoted_traffic_adds_up_and_is_served(
    promoted: list[tuple[int, str]],
) -> None:
    desired = Desired("fraud")
    for sequence, (version, end) in enumerate(promoted, 1):
        desired = desired.deploy(image(version), sequence)
        name = desired.running(image(version))
        assert name is not None
        desired = desired.shift(name, 50 if desired.stable else 0, sequence)
        if end == "complete":
            desired = desired.complete(name, sequence)
            assert desired.traffic == {name: 100}
        if end == "restore":
            desired = desired.restore(sequence)
        assert sum(desired.traffic.values()) in {0, 100}
        assert desired.traffic.keys() <= desired.revisions.keys()
        assert len(desired.revisions) <= 3
