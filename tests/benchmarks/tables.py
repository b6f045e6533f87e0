"""Tables of claims and of runs, as Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.image_peers import Absent, Contender


@dataclass(frozen=True)
class Claim:
    """One line of what is asked for.

    Parameters
    ----------
    what
        What is compared.
    ours, peer, ratio, target
        As they are written; no ``target``: nothing is asked for.
    met
        ``None`` where it could not be measured here.

    """

    what: str
    ours: str
    peer: str
    ratio: str
    target: str
    met: bool | None

    def row(self) -> str:
        """Write the line."""
        met = {True: "yes", False: "**no**", None: "not measured"}[self.met]
        return f"| {self.what} | {self.ours} | {self.peer} | {self.ratio} | {self.target} | {met} |"


def at_most(what: str, ours: Contender, peer: Contender | Absent, times: float) -> Claim:
    """Claim that ours takes at most ``times`` as long as the peer."""
    mine, target = median(ours.seconds), f"≤ {times}x"
    if isinstance(peer, Absent):
        return Claim(what, _s(mine), "absent", "-", target, None)
    other = median(peer.seconds)
    said = f"{mine / other:.2f}x its time"
    return Claim(what, _s(mine), _s(other), said, target, mine <= times * other)


def faster(
    what: str, ours: Contender, peers: Sequence[Contender | Absent], times: float | None
) -> Claim:
    """Claim that ours is at least ``times`` as fast as the fastest of the peers."""
    mine = median(ours.seconds)
    target = "-" if times is None else f"≥ {times:g}x"
    measured = [peer for peer in peers if isinstance(peer, Contender)]
    if not measured:
        return Claim(what, _s(mine), "absent", "-", target, None)
    ratio = min(median(peer.seconds) for peer in measured) / mine
    met = ratio >= (times or 0)
    return Claim(what, _s(mine), _s(ratio * mine), f"{ratio:.1f}x faster", target, met)


def at_most_bytes(what: str, most: int, limit: int) -> Claim:
    """Claim that a number of bytes is not above a limit."""
    return Claim(what, _mib(most), "-", "-", f"≤ {_mib(limit)}", most <= limit)


def claims_table(claims: Iterable[Claim]) -> str:
    """Write claims."""
    rows = "\n".join(claim.row() for claim in claims)
    return f"| claim | Laurel | peer | ratio | asked for | met |\n{'| --- ' * 6}|\n{rows}\n"


def runs_table(entries: Iterable[Contender | Absent], ours: Contender) -> str:
    """Write what everybody took, and who is missing."""
    mine = median(ours.seconds)
    rows = "\n".join(_run_row(entry, mine) for entry in entries)
    return f"| way | median | least .. most | x Laurel |\n{'| --- ' * 4}|\n{rows}\n"


def _run_row(entry: Contender | Absent, mine: float) -> str:
    if isinstance(entry, Absent):
        return f"| {entry.name} | absent: {entry.why} | | |"
    middle = median(entry.seconds)
    spread = f"{_s(min(entry.seconds))} .. {_s(max(entry.seconds))}"
    return f"| {entry.name} | {_s(middle)} | {spread} | {middle / mine:.2f} |"


def _s(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _mib(count: int) -> str:
    return f"{count / (1 << 20):.0f} MiB" if count else "0"
