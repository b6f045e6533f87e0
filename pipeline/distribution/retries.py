"""Waiting a little for a registry that is away or asks for it; who is patient comes above."""

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import urllib3

from pipeline.distribution.connections import let_go
from pipeline.errors import UnavailableError

_WAITS = (0.1, 0.2, 0.4)
_LONGEST_ASKED = 10.0
_LONGEST_TOLD = 86_400.0
_FOR_GOOD = frozenset({HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED})


class Retries:
    """Sends what may be sent twice up to four times.

    Parameters
    ----------
    wait
        Waits so many seconds.

    """

    def __init__(self, wait: Callable[[float], None] = time.sleep) -> None:
        self._wait = wait

    def answer(
        self, send: Callable[[], urllib3.BaseHTTPResponse], *, repeatable: bool
    ) -> urllib3.BaseHTTPResponse:
        """Send until somebody answers who can; at the end, the answer or error that there was.

        A registry that asks for more than ten seconds in all gets them from whoever called.
        """
        left = _LONGEST_ASKED
        for wait in _WAITS if repeatable else ():
            ours = wait * random.uniform(0.5, 1.5)  # noqa: S311 - so that many do not come back at once
            try:
                response = send()
            except UnavailableError:
                self._wait(ours)
                continue
            asked = retry_after(response) or 0.0
            if not is_away(response) or asked > left:
                return response
            let_go(response)
            left -= asked
            self._wait(max(asked, ours))
        return send()


def is_away(response: urllib3.BaseHTTPResponse) -> bool:
    """Tell whether another time may bring another answer."""
    status = response.status
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _FOR_GOOD


def retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    """Read ``Retry-After``, seconds or an HTTP date; ``None`` where it says nothing readable."""
    said = response.headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit():
        return min(float(said), _LONGEST_TOLD)
    try:
        when = parsedate_to_datetime(said)
    except (ValueError, OverflowError):
        return None
    when = when.replace(tzinfo=when.tzinfo or UTC)
    return min(max((when - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_TOLD)
