"""What the person at the demo reads while it goes on; all of it on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class Narrator:
    """Tells what happens, each line with the seconds since the beginning."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self._console = Console(file=sys.stderr, highlight=False)

    def title(self, text: str) -> None:
        """Say a heading, without a time."""
        self._console.print(text, markup=False, soft_wrap=True, style="bold")

    def say(self, text: str) -> None:
        """Tell what happened just now."""
        line = f"{time.monotonic() - self._begin:6.1f} s  {text}"
        self._console.print(line, markup=False, soft_wrap=True)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show, on a terminal alone, what is being waited for."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(text):
            yield
