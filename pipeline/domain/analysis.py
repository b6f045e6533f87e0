"""Judging a canary: one test for every share of requests, which may be looked at any time.

An e-process (Turner, Ly & Grünwald, "Generic E-variables for exact sequential k-sample tests that
allow for optional stopping"). It bets on the canary being worse than allowed; while it is not, the
chance that the wealth ``E`` ever reaches ``1/alpha`` is at most ``alpha``, however often somebody
looks. So there is no number of looks to plan, and stopping early costs nothing.

A good canary loses its bets, and one that breaks after hours would first have to win them back.
So a tenth of the wealth is kept, and a little of it is staked anew before every block: the evidence
is a mixture of bets that start at each block, whose weights add up to 1, and the promise holds.

Everything is a share of requests that went bad: that failed, or that were slow.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

_PRIOR_BAD = 0.5
_PRIOR_GOOD = 20.0
_LEAST_EDGE = 0.02
"""A bet is always this far beyond the margin: evidence is bought on a real deterioration only."""
_MOST = 0.999
_RESERVE = 0.1
_HALVINGS = 32
"""Halvings of a bracket no wider than 2: to a billionth, where the divergence is flat."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of one arm, and how many of them were bad."""

    requests: int = 0
    bad: int = 0

    def __add__(self, other: Self) -> Self:
        return replace(self, requests=self.requests + other.requests, bad=self.bad + other.bad)

    @property
    def share(self) -> float:
        """The bad share, 0 where nothing was asked."""
        return self.bad / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one metric has shown so far that the canary is worse than allowed.

    ``stable`` and ``canary`` are the totals of the judged blocks. ``open_stable`` and
    ``open_canary`` wait for a request of the other arm: a block that only one arm answered compares
    nothing, so the block stays open until both have (which reads request counts only, never what
    became of the requests, and so leaves the promise intact). ``log_staked`` is the log of the
    wealth at stake after so many ``blocks``; what is left of the reserve follows from their number.

    Arms that do not move at the same look may be counted at different moments: a Prometheus scrapes
    each pod at its own. An outage that hits both then shows in one arm's block and in the other's
    neighbouring one. So such a block waits in ``late_stable`` and ``late_canary`` for the next, and
    is judged as if stable had been as bad in it as in both its neighbours on top; ``last_stable``
    is the one before. More bad requests of stable only ever lower the wealth: the promise holds.
    """

    stable: Counts = field(default_factory=Counts)
    canary: Counts = field(default_factory=Counts)
    open_stable: Counts = field(default_factory=Counts)
    open_canary: Counts = field(default_factory=Counts)
    late_stable: Counts = field(default_factory=Counts)
    late_canary: Counts = field(default_factory=Counts)
    last_stable: Counts = field(default_factory=Counts)
    log_staked: float = math.log(1 - _RESERVE)
    blocks: int = 0

    @property
    def log_e(self) -> float:
        """The log of all wealth, 0 at the start: evidence that the canary is worse than allowed."""
        return _log_add(self.log_staked, math.log(_RESERVE / (self.blocks + 1)))

    @property
    def seen(self) -> tuple[Counts, Counts]:
        """Everything that stable and the canary answered, judged or not yet."""
        return (
            self.stable + self.late_stable + self.open_stable,
            self.canary + self.late_canary + self.open_canary,
        )

    def proves(self, alpha: float) -> bool:
        """Whether the canary is worse than allowed; wrong with a chance of ``alpha`` at most."""
        return self.log_e >= math.log(1 / alpha)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what ``dataclasses.asdict`` wrote; the float comes back to the bit."""
        arms = {name: Counts(**of) for name, of in data.items() if isinstance(of, dict)}
        return cls(**data | arms)


def look(before: Evidence, stable: Counts, canary: Counts, *, margin: float) -> Evidence:
    """Add what both arms answered since the last look.

    Parameters
    ----------
    before
        The evidence so far.
    stable, canary
        Increments of each arm.
    margin
        By how much the canary's bad share may exceed stable's, 0-1; the same at every look.

    """
    together = not (before.open_stable.requests or before.open_canary.requests)
    stable, canary = before.open_stable + stable, before.open_canary + canary
    if not (stable.requests and canary.requests):
        return replace(before, open_stable=stable, open_canary=canary)
    if before.late_canary.requests:
        late, usual = before.late_stable, before.stable.share
        likely = _with_neighbours(late, before.last_stable, stable, usual=usual)
        before = _judged(before, late, likely, before.late_canary, margin)
    closed = replace(before, open_stable=Counts(), open_canary=Counts())
    if together:
        closed = replace(closed, late_stable=Counts(), late_canary=Counts())
        return _judged(closed, stable, stable, canary, margin)
    return replace(closed, late_stable=stable, late_canary=canary)


def increase(stable: Counts, canary: Counts, *, alpha: float) -> tuple[float, float]:
    """Bound the canary's bad share minus stable's: what was seen, for people.

    A confidence sequence: with a chance of 1 - alpha it holds at all looks at once, as long as each
    arm's own share stays the same (which the test does not assume). It inverts the mixture form of
    the test, whose evidence against a difference needs the totals only: the marginal likelihood of
    both arms against the best likelihood with that difference.
    """
    seen = _log_marginal(stable) + _log_marginal(canary)
    limit = math.log(1 / alpha)

    def is_plausible(difference: float) -> bool:
        return seen - _best_log_likelihood(stable, canary, difference) < limit

    middle = canary.share - stable.share
    return (
        _boundary(is_plausible, inside=middle, outside=-1.0),
        _boundary(is_plausible, inside=middle, outside=1.0),
    )


def _judged(
    before: Evidence, stable: Counts, likely: Counts, canary: Counts, margin: float
) -> Evidence:
    """Take a block in; it is weighed as if stable had been as ``likely`` says."""
    blocks = before.blocks + 1
    won = before.log_staked + _log_factor(before, likely, canary, margin)
    return replace(
        before,
        stable=before.stable + stable,
        canary=before.canary + canary,
        last_stable=stable,
        log_staked=_log_add(won, math.log(_RESERVE / (blocks * (blocks + 1)))),
        blocks=blocks,
    )


def _with_neighbours(block: Counts, *neighbours: Counts, usual: float) -> Counts:
    """Take the block's requests, as bad as if all that was unusual near them had been in it."""
    unusual = sum(max(0.0, each.share - usual) for each in (block, *neighbours))
    bad = min(block.requests, round((usual + unusual) * block.requests))
    return replace(block, bad=max(block.bad, bad))


def _log_factor(before: Evidence, stable: Counts, canary: Counts, margin: float) -> float:
    """Weigh one block: its likelihood under the bet against the closest allowed explanation."""
    bet_stable = _expected(before.stable)
    bet_canary = min(_MOST, max(_expected(before.canary), bet_stable + margin + _LEAST_EDGE))
    if bet_canary - margin <= bet_stable:
        return 0.0  # stable itself is so bad that nothing worse than allowed exists to bet on
    null = _closest(stable.requests, bet_stable, canary.requests, bet_canary, margin)
    return (
        _log_likelihood(stable, bet_stable)
        - _log_likelihood(stable, null)
        + _log_likelihood(canary, bet_canary)
        - _log_likelihood(canary, null + margin)
    )


def _expected(seen: Counts) -> float:
    """Expect of the next requests what the earlier ones did, starting from few bad ones."""
    return (seen.bad + _PRIOR_BAD) / (seen.requests + _PRIOR_BAD + _PRIOR_GOOD)


def _closest(
    stable_requests: int,
    stable_share: float,
    canary_requests: int,
    canary_share: float,
    difference: float,
) -> float:
    """Project onto the shares ``(t, t + difference)``: the ``t`` of least KL divergence.

    The divergence is convex in ``t`` and each arm's own part is least at its own share, so the
    answer lies between the two. What is bisected is its derivative times a positive denominator.
    """
    ends = sorted((stable_share, canary_share - difference))
    low, high = max(ends[0], 0.0, -difference), min(ends[1], 1.0, 1.0 - difference)
    for _ in range(_HALVINGS):
        t = (low + high) / 2
        u = t + difference
        pull_up = stable_requests * (stable_share - t) * u * (1 - u)
        pull_down = canary_requests * (u - canary_share) * t * (1 - t)
        low, high = (t, high) if pull_up > pull_down else (low, t)
    return (low + high) / 2


def _best_log_likelihood(stable: Counts, canary: Counts, difference: float) -> float:
    """Find the likelihood of both arms under the best pair of shares that differ by so much."""
    share = _closest(stable.requests, stable.share, canary.requests, canary.share, difference)
    return _log_likelihood(stable, share) + _log_likelihood(canary, share + difference)


def _log_marginal(seen: Counts) -> float:
    """Average the likelihood over the prior of a bad share that the bets start from."""
    good = seen.requests - seen.bad
    return _log_beta(seen.bad + _PRIOR_BAD, good + _PRIOR_GOOD) - _log_beta(_PRIOR_BAD, _PRIOR_GOOD)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _log_likelihood(seen: Counts, share: float) -> float:
    return _times_log(seen.bad, share) + _times_log(seen.requests - seen.bad, 1 - share)


def _times_log(count: int, share: float) -> float:
    if not count:
        return 0.0
    return count * math.log(share) if share > 0 else -math.inf


def _log_add(a: float, b: float) -> float:
    """Add two numbers that are known by their logs."""
    return max(a, b) + math.log1p(math.exp(-abs(a - b)))


def _boundary(holds: Callable[[float], bool], *, inside: float, outside: float) -> float:
    """Find where ``holds`` ends on the way from ``inside`` to ``outside``."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return outside
