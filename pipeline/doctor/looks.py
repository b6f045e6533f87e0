"""One look after another; whatever breaks one of them is told as what it found."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pipeline.doctor.finding import Finding, bad
from pipeline.errors import LaurelError, StepError


@dataclass(frozen=True, slots=True)
class Look:
    """What is looked at, and how; with ``after``, only where that look found nothing bad."""

    check: str
    findings: Callable[[], Iterable[Finding]]
    after: str = ""


def looked(looks: Iterable[Look]) -> Iterator[Finding]:
    """Look at everything, in order, and tell what was found."""
    failed: set[str] = set()
    for look in looks:
        if look.after in failed:
            failed.add(look.check)
            continue
        for finding in _tolerant(look):
            if finding.level == "bad":
                failed.add(look.check)
            yield finding


def _tolerant(look: Look) -> Iterator[Finding]:
    try:
        yield from look.findings()
    except LaurelError as error:
        yield broken(look.check, error)


def broken(check: str, error: LaurelError) -> Finding:
    """Tell an error as what was found: what it says first, and what it says to do."""
    if isinstance(error, StepError):
        return bad(check, f"could not {error.attempted} ({error.subject})", error.hint)
    what, colon, fix = str(error).rpartition("; ")
    if not colon:
        what, colon, fix = str(error).rpartition(": ")
    return bad(check, what or str(error), fix if colon else "mend laurel.yaml")
