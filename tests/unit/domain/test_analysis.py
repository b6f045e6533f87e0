"""The judge's promises, by simulation with fixed seeds and by properties."""

import json
import math
from dataclasses import asdict, dataclass
from random import Random
from statistics import median

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.domain.analysis import Counts, Evidence, increase, look

ALPHA = 0.01
ERRORS_MARGIN = 0.01
SLOW_MARGIN = 0.05


@dataclass(frozen=True)
class Traffic:
    """Requests a look, how they are split, and which share of the looks a common outage hits."""

    a_look: int = 20
    split: float = 0.5
    looks: int = 300
    outages: float = 0.0


def seeded(seed: float) -> Random:
    return Random(seed)  # noqa: S311 - a simulation that must repeat itself, not a secret


def sample(random: Random, requests: int, share: float) -> Counts:
    """Draw how many of the requests are bad, by the gaps between bad ones."""
    bad, at = 0, 0
    while 0 < share < 1 and (at := at + 1 + _gap(random, share)) <= requests:
        bad += 1
    return Counts(requests, requests if share == 1 else bad)


def _gap(random: Random, share: float) -> int:
    return int(math.log(1 - random.random()) / math.log(1 - share))


def requests_until_called(
    random: Random,
    stable: float,
    canary: float,
    traffic: Traffic,
    *,
    margin: float = ERRORS_MARGIN,
) -> float:
    """Look at traffic until the canary is called worse; its requests until then, or infinity."""
    evidence = Evidence()
    for _ in range(traffic.looks):
        lost = random.random() / 2 if random.random() < traffic.outages else 0.0
        to_canary = int(traffic.a_look * traffic.split + random.random())
        evidence = look(
            evidence,
            sample(random, traffic.a_look - to_canary, stable + (1 - stable) * lost),
            sample(random, to_canary, canary + (1 - canary) * lost),
            margin=margin,
        )
        if evidence.proves(ALPHA):
            return evidence.canary.requests
    return math.inf


def called(results: list[float]) -> float:
    return sum(result < math.inf for result in results) / len(results)


def divergence(share: float, from_share: float) -> float:
    return share * math.log(share / from_share) + (1 - share) * math.log(
        (1 - share) / (1 - from_share)
    )


def information_limit(stable: float, canary: float, split: float | None = None) -> float:
    """Compute the canary's requests that no test can do without, even knowing its share.

    Knowing stable's share too, or with ``split`` learning it from the rest of the same traffic.
    """
    if split is None:
        return math.log(1 / ALPHA) / divergence(canary, stable + ERRORS_MARGIN)
    beside = (1 - split) / split
    return math.log(1 / ALPHA) / min(
        beside * divergence(stable, t / 10_000) + divergence(canary, t / 10_000 + ERRORS_MARGIN)
        for t in range(1, 1000)
    )


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.05])
def test_identical_arms_are_almost_never_called_however_often_one_looks(share: float) -> None:
    random = seeded(share)
    results = [requests_until_called(random, share, share, Traffic()) for _ in range(200)]
    assert called(results) < 0.01


def test_a_canary_exactly_at_the_margin_is_called_at_most_as_often_as_promised() -> None:
    random = seeded(2)
    results = [requests_until_called(random, 0.01, 0.02, Traffic()) for _ in range(200)]
    assert called(results) <= ALPHA


@pytest.mark.parametrize("a_look", [1, 20])
def test_an_outage_that_both_arms_share_is_not_the_canarys_fault(a_look: int) -> None:
    random = seeded(3)
    results = [
        requests_until_called(random, 0.01, 0.01, Traffic(a_look, outages=0.05)) for _ in range(100)
    ]
    assert called(results) == 0


def test_five_points_more_errors_are_called_near_the_information_limit() -> None:
    random = seeded(4)
    results = [
        requests_until_called(random, 0.001, 0.051, Traffic(20, 0.1, 2000)) for _ in range(201)
    ]
    assert median(results) <= 1.6 * information_limit(0.001, 0.051)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.101, 95), (0.5, 40), (1.0, 25)], ids=["+10", "half", "all"]
)
def test_the_worse_the_canary_the_fewer_requests_it_costs(share: float, expected: float) -> None:
    random = seeded(5)
    results = [
        requests_until_called(random, 0.001, share, Traffic(10, 0.1, 2000)) for _ in range(101)
    ]
    assert median(results) <= expected


@pytest.mark.parametrize("a_look", [1, 3, 20, 200])
@pytest.mark.parametrize("split", [0.1, 0.5])
def test_traffic_sets_the_time_and_how_it_is_grouped_does_not_set_the_decision(
    a_look: int, split: float
) -> None:
    random = seeded(6)
    results = [
        requests_until_called(random, 0.001, 0.051, Traffic(a_look, split, 20_000 // a_look))
        for _ in range(51)
    ]
    limit = information_limit(0.001, 0.051, split)
    assert limit / 2 <= median(results) <= 1.6 * limit + a_look * split


@pytest.mark.parametrize(
    ("share", "least", "most"), [(0.05, 0, 0), (0.08, 0, 0), (0.1, 0, 0.02), (0.25, 1, 1)]
)
def test_slow_requests_are_called_beyond_five_points_and_not_before(
    share: float, least: float, most: float
) -> None:
    random = seeded(7)
    results = [
        requests_until_called(random, 0.05, share, Traffic(looks=100), margin=SLOW_MARGIN)
        for _ in range(100)
    ]
    assert least <= called(results) <= most


def test_a_look_at_one_arm_waits_for_the_other_and_loses_nothing() -> None:
    apart = look(Evidence(), Counts(30, 1), Counts(), margin=0.01)
    assert apart.log_e == Evidence().log_e == pytest.approx(0)
    assert apart.seen == (Counts(30, 1), Counts())
    late = look(apart, Counts(), Counts(5, 5), margin=0.01)
    assert late.log_e == pytest.approx(0)
    assert late.seen == (Counts(30, 1), Counts(5, 5))
    judged = look(late, Counts(30, 0), Counts(5, 5), margin=0.01)
    assert judged.log_e > 1
    assert judged.seen == (Counts(60, 1), Counts(10, 10))


def test_what_stable_shows_a_look_later_or_earlier_is_not_held_against_the_canary() -> None:
    good, outage = Counts(900, 2), Counts(900, 300)
    for before, during, after in ((good, good, outage), (outage, good, good)):
        evidence = look(Evidence(), Counts(9000, 20), Counts(1000, 2), margin=0.01)
        for stable, canary in ((before, 0), (during, 33), (after, 0), (good, 0)):
            evidence = look(evidence, Counts(), Counts(100, canary), margin=0.01)
            evidence = look(evidence, stable, Counts(), margin=0.01)
        assert evidence.log_e < 1


def scraped(random: Random, worse: float, *, phase: float, every: int = 6) -> float:
    """Show each arm every ``every`` looks, apart by a phase; both have the same eight outages."""
    outages = [(random.randrange(400), random.choice((1, 2, 4, 8))) for _ in range(8)]
    evidence, owed = Evidence(), {"stable": Counts(), "canary": Counts()}
    for at in range(400):
        hit = any(begin <= at < begin + length for begin, length in outages)
        share = 0.5 if hit else 0.005
        owed["stable"] += sample(random, 180, share)
        owed["canary"] += sample(random, 20, share + worse * (1 - share))
        seen = {"stable": at % every == 0, "canary": (at + int(phase * every)) % every == 0}
        shown = {arm: owed[arm] if seen[arm] else Counts() for arm in owed}
        owed = {arm: Counts() if seen[arm] else owed[arm] for arm in owed}
        evidence = look(evidence, shown["stable"], shown["canary"], margin=ERRORS_MARGIN)
        if evidence.proves(ALPHA):
            return evidence.seen[1].requests
    return math.inf


@pytest.mark.parametrize("phase", [0.0, 0.2, 0.5, 0.8])
def test_outages_of_both_arms_are_not_the_canarys_however_far_apart_they_are_counted(
    phase: float,
) -> None:
    results = [scraped(seeded(seed), 0.0, phase=phase) for seed in range(40)]
    assert called(results) <= 0.05


@pytest.mark.parametrize("phase", [0.0, 0.2, 0.5, 0.8])
def test_a_canary_that_is_worse_is_called_however_far_apart_the_arms_are_counted(
    phase: float,
) -> None:
    results = [scraped(seeded(seed), 0.1, phase=phase) for seed in range(20)]
    assert called(results) >= 0.9
    assert median(results) < 700


def test_where_stable_always_fails_nothing_is_worse() -> None:
    broken = Evidence()
    for _ in range(50):
        broken = look(broken, Counts(1000, 1000), Counts(1000, 1000), margin=0.01)
    once_more = look(broken, Counts(10, 10), Counts(10, 10), margin=0.01)
    assert once_more.log_e == pytest.approx(broken.log_e)
    assert broken.log_e < 0


def test_one_bad_block_weighs_what_the_formula_says() -> None:
    before = Evidence(stable=Counts(1000, 10), canary=Counts(100, 10))
    after = look(before, Counts(90, 1), Counts(10, 2), margin=0.01)
    bet_stable, bet_canary = 10.5 / 1020.5, 10.5 / 120.5

    def log_e(t: float) -> float:
        return (
            1 * math.log(bet_stable / t)
            + 89 * math.log((1 - bet_stable) / (1 - t))
            + 2 * math.log(bet_canary / (t + 0.01))
            + 8 * math.log((1 - bet_canary) / (1 - t - 0.01))
        )

    def distance(t: float) -> float:
        return 90 * divergence(bet_stable, t) + 10 * divergence(bet_canary, t + 0.01)

    closest = min((k / 100_000 for k in range(100, 10_000)), key=distance)
    assert after.log_e == pytest.approx(math.log(0.9 * math.exp(log_e(closest)) + 0.1), abs=1e-3)


@pytest.mark.parametrize("good", [100, 1000])
def test_a_canary_that_breaks_late_need_not_first_make_up_for_its_good_time(good: int) -> None:
    random = seeded(9)
    results = []
    for _ in range(9):
        evidence, asked = Evidence(), 0
        while not evidence.proves(ALPHA):
            asked += 2
            share = 0.051 if asked > 2 * good else 0.001
            evidence = look(
                evidence, sample(random, 18, 0.001), sample(random, 2, share), margin=ERRORS_MARGIN
            )
        results.append(asked - 2 * good)
    assert median(results) < 6 * information_limit(0.001, 0.051)


counts = st.integers(0, 5000).flatmap(
    lambda requests: st.builds(Counts, st.just(requests), st.integers(0, requests))
)
blocks = st.lists(st.tuples(counts, counts), max_size=12)
margins = st.floats(0.0, 0.5)


@given(blocks, margins)
def test_evidence_is_finite_at_every_extreme(
    looks: list[tuple[Counts, Counts]], margin: float
) -> None:
    evidence = Evidence()
    for stable, canary in looks:
        evidence = look(evidence, stable, canary, margin=margin)
        assert math.isfinite(evidence.log_e)


@given(blocks, blocks, margins)
def test_a_restart_in_the_middle_gives_the_same_verdict(
    earlier: list[tuple[Counts, Counts]], later: list[tuple[Counts, Counts]], margin: float
) -> None:
    evidence = Evidence()
    for stable, canary in earlier:
        evidence = look(evidence, stable, canary, margin=margin)
    restored = Evidence.from_json(json.loads(json.dumps(asdict(evidence))))
    assert restored == evidence
    for stable, canary in later:
        evidence = look(evidence, stable, canary, margin=margin)
        restored = look(restored, stable, canary, margin=margin)
    assert restored == evidence


@given(counts, counts, margins)
def test_one_more_failure_of_the_canary_never_speaks_for_it(
    stable: Counts, canary: Counts, margin: float
) -> None:
    assume(stable.requests and canary.bad < canary.requests)
    worse = Counts(canary.requests, canary.bad + 1)
    before = Evidence(stable=Counts(500, 5), canary=Counts(50, 3))
    assert (
        look(before, stable, worse, margin=margin).log_e
        >= look(before, stable, canary, margin=margin).log_e
    )


@given(blocks, margins)
def test_a_canary_without_failures_never_raises_the_evidence(
    looks: list[tuple[Counts, Counts]], margin: float
) -> None:
    evidence = Evidence()
    for stable, canary in looks:
        evidence = look(
            evidence, Counts(stable.requests, stable.bad), Counts(canary.requests), margin=margin
        )
        assert evidence.log_e <= 1e-9


@given(counts, counts)
def test_the_interval_holds_what_was_seen(stable: Counts, canary: Counts) -> None:
    low, high = increase(stable, canary, alpha=ALPHA)
    assert -1 <= low <= canary.share - stable.share <= high <= 1


def test_the_interval_says_nothing_of_no_requests_and_narrows_with_many() -> None:
    assert increase(Counts(), Counts(), alpha=ALPHA) == pytest.approx((-1, 1))
    low, high = increase(Counts(90_000, 900), Counts(10_000, 600), alpha=ALPHA)
    assert 0.03 < low < 0.05 < high < 0.07


def test_the_interval_holds_the_truth_at_every_look_as_often_as_promised() -> None:
    random = seeded(8)
    missed = 0
    for _ in range(60):
        stable = canary = Counts()
        held = True
        for _ in range(8):
            stable, canary = stable + sample(random, 180, 0.02), canary + sample(random, 20, 0.07)
            low, high = increase(stable, canary, alpha=ALPHA)
            held = held and low <= 0.05 <= high
        missed += not held
    assert missed <= 2
