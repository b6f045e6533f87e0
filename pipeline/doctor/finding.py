"""What was found: a sentence of what is so, and of what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is: ``bad`` stops promotions, ``warn`` makes them slower or less sure."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``fix`` is empty where there is nothing to do."""

    check: str
    level: Level
    what: str
    fix: str = ""


def ok(check: str, what: str) -> Finding:
    """Say that it is as it should be."""
    return Finding(check, Level.OK, what)


def warn(check: str, what: str, fix: str) -> Finding:
    """Say that promotions go on, and what would be better."""
    return Finding(check, Level.WARN, what, fix)


def bad(check: str, what: str, fix: str) -> Finding:
    """Say what stops promotions, and what to do."""
    return Finding(check, Level.BAD, what, fix)
