"""Everybody's clocks: a delivery counts for ten minutes, and statements say when they were made."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from pipeline.doctor.finding import Finding, bad, ok, warn
from pipeline.errors import LaurelError

CHECK = "clock"
_NOTICEABLE = timedelta(seconds=60)


def examine(
    clocks: Mapping[str, Callable[[], datetime | None]],
    now: Callable[[], datetime],
    tolerance: timedelta,
) -> Iterator[Finding]:
    """Compare each neighbour's clock with this machine's."""
    for name, read in clocks.items():
        yield from _compared(name, read, now, tolerance)


def _compared(
    name: str, read: Callable[[], datetime | None], now: Callable[[], datetime], most: timedelta
) -> Iterable[Finding]:
    check = f"{CHECK} {name}"
    try:
        theirs = read()
    except LaurelError:
        return  # that it does not answer is another look's to say
    if theirs is None:
        yield ok(check, f"{name} does not say what time it is")
        return
    ahead = (theirs - now()).total_seconds()
    what = f"{name}'s clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this one"
    fix = f"let both machines keep time (timedatectl set-ntp true); {name}'s says {theirs:%H:%M:%S}"
    if abs(ahead) >= most.total_seconds():
        yield bad(check, f"{what}: what it signs is refused as too old or too new", fix)
    elif abs(ahead) >= _NOTICEABLE.total_seconds():
        yield warn(check, what, fix)
    else:
        yield ok(check, f"{name}'s clock agrees with this one")
