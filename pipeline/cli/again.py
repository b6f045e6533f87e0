"""Asking again, where an answer was lost or there is none now: how often, how soon, and told."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus

WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further time, at least."""
_NOTHING: Mapping[str, str] = {}
_LONGEST = 30.0  # seconds, of one wait that a server asks for

LATER = {
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
"""Answers of a server that cannot, or of a gateway whose server did not; it may have been done."""


class Again:
    """How a person's command waits before it asks again.

    Parameters
    ----------
    tell
        Tells a person why nothing happens meanwhile.
    sleep
        Waits for so many seconds.
    waits
        How long before each further time, at least; their number bounds it. Default: ``WAITS``.

    """

    def __init__(
        self,
        tell: Callable[[str], None],
        *,
        sleep: Callable[[float], None] = time.sleep,
        waits: tuple[float, ...] | None = None,
    ) -> None:
        self._tell = tell
        self._sleep = sleep
        self.waits = WAITS if waits is None else waits

    def after(self, wait: float, why: str, headers: Mapping[str, str] = _NOTHING) -> None:
        """Wait, and say why: as long as the server asks for, within reason."""
        with suppress(ValueError):  # a date: nobody sends one here
            wait = max(wait, min(float(headers.get("Retry-After", "0")), _LONGEST))
        self._tell(f"{why}; asking again in {wait:g} s, so that it is done once")
        self._sleep(wait)
