"""Waiting for what a test is about to see: the one loop that looks again and again."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

_Found = TypeVar("_Found")
_PATIENCE = 120.0
_LOOK_EVERY = 0.03


def until(
    condition: Callable[[], _Found | None],
    what: str,
    seconds: float = _PATIENCE,
    say: Callable[[], object] = str,
) -> _Found:
    """Wait until something is there, and return it; fail where it does not come.

    What ``condition`` raises ends the wait; ``say`` tells more about what never came.
    """
    waiting, deadline = threading.Event(), time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s\n{say()}"
        waiting.wait(_LOOK_EVERY)
    return found
