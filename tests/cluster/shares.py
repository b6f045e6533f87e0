"""How users' requests were split at each step of a canary, against what the step asks for."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.ledger import Event
from tests.cluster.traffic import Traffic

FALSE_ALARM = 1e-7


@dataclass(frozen=True)
class Share:
    """What users saw of one step: how many requests, and how many of them the canary answered."""

    percent: int
    requests: int
    canary: int

    @property
    def plausible(self) -> bool:
        """Tell whether so many may go to the canary where each does with this probability.

        Chernoff's bound: of ``n`` independent requests a share ``q`` or one still further from
        ``p`` has at most the probability ``2 exp(-n KL(q || p))``, whatever ``n`` is.
        """
        if not self.requests:
            return False
        divergence = _divergence(self.canary / self.requests, self.percent / 100)
        return 2 * math.exp(-self.requests * divergence) > FALSE_ALARM


def shares(looks: list[Event], seen: Traffic, version: str) -> Iterator[Share]:
    """Count what was sent in each step, from when its split was observed to when it had passed."""
    for last in (each for each in looks if each.data["verdict"] == "pass"):
        percent = last.data["percent"]
        # the first note of a step precedes its split
        begin = [each for each in looks if each.data["percent"] == percent][1].at.timestamp()
        sent = [a for a in tuple(seen.answers) if begin <= a.at < last.at.timestamp()]
        yield Share(percent, len(sent), sum(answer.version == version for answer in sent))


def _divergence(q: float, p: float) -> float:
    """Tell how far a share is from a probability: Kullback-Leibler, in nats."""
    ends = ((q, p), (1 - q, 1 - p))
    return sum(seen * math.log(seen / expected) for seen, expected in ends if seen)
