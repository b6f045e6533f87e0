"""How often, and how long apart, a registry is asked again."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from pipeline.errors import TransientError

T = TypeVar("T")
ATTEMPTS = 5
LONGEST_WAIT = 30.0
PROGRESS = 1 << 16
"""Bytes after which an attempt got further; whoever gives one at a time would never come to an end.
"""
_FIRST_WAIT = 0.25


class Patience:
    """Waits after each failure, longer each time, and then no more.

    Parameters
    ----------
    wait
        Waits so many seconds.

    """

    def __init__(self, wait: Callable[[float], None] = time.sleep) -> None:
        self._wait = wait
        self._failures = 0

    def after(self, error: TransientError) -> None:
        """Wait before the next attempt, as long as the registry asked for; else raise ``error``."""
        self._failures += 1
        if self._failures >= ATTEMPTS:
            raise error
        ours = _FIRST_WAIT * 2**self._failures * random.uniform(0.5, 1.0)  # noqa: S311 - so that many do not come back at once
        self._wait(min(max(ours, error.retry_after or 0.0), LONGEST_WAIT))

    def renew(self) -> None:
        """Begin to count anew: the last attempt got further than those before."""
        self._failures = 0

    def repeat(self, do: Callable[[], T]) -> T:
        """Do what may be done twice, until it succeeds or patience ends."""
        while True:
            try:
                return do()
            except TransientError as error:
                self.after(error)
