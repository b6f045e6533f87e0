"""An issuer's keys, kept: it may rotate them, be away for a day, or be asked for keys by strangers.

An unknown key's id has them read again, because issuers rotate; at most every 30 s, because whoever
calls can invent ids. Who knows a key never waits for others' reading.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import jwt

from pipeline.access.key_source import Keys
from pipeline.errors import UnavailableError

FRESH = 600.0
"""Seconds after which keys are read again, so that a withdrawn one ends."""
AGAIN = 30.0
"""Seconds that are at least between two readings."""
KEPT = 86_400.0
"""Seconds that keys are good for while their issuer cannot be read."""

_WAITING_ROOM = 8
_PATIENCE = 5.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read last, when that was, and when reading was tried last."""

    keys: Keys
    read_at: float
    tried_at: float
    failed: bool = False


class IssuerKeys:
    """One issuer's keys; threads share it.

    Parameters
    ----------
    issuer
        Its URL, for messages.
    read
        Reads them.
    now
        Tells the time that passes, in seconds.

    """

    def __init__(
        self, issuer: str, read: Callable[[], Keys], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer
        self._read = read
        self._now = now
        self._known = _Known({}, read_at=-math.inf, tried_at=-math.inf)
        self._reading = threading.Lock()
        self._waiting = threading.BoundedSemaphore(_WAITING_ROOM)

    def find(self, kid: str) -> jwt.PyJWK | None:
        """Find a key by its id; ``None`` where the issuer has no such key.

        Raises
        ------
        UnavailableError
            Where that cannot be told now.

        """
        settled = not self._due(kid) or self._renewed(kid)
        known = self._known
        guessing = kid not in known.keys and (known.failed or not settled)
        if guessing or self._now() - known.read_at >= KEPT:
            raise UnavailableError("read an issuer's keys", self._issuer, "it cannot be read now")
        return known.keys.get(kid)

    def _due(self, kid: str) -> bool:
        known, now = self._known, self._now()
        old = now - known.read_at >= FRESH
        return (old or kid not in known.keys) and now - known.tried_at >= AGAIN

    def _renewed(self, kid: str) -> bool:
        """Read the keys, or wait for who does; ``False`` where that would take too long."""
        if kid in self._known.keys:
            return self._read_unless_others_do(kid, patience=0)
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            return self._read_unless_others_do(kid, patience=_PATIENCE)
        finally:
            self._waiting.release()

    def _read_unless_others_do(self, kid: str, *, patience: float) -> bool:
        if not self._reading.acquire(timeout=patience):
            return False
        try:
            if self._due(kid):  # while we waited, somebody may have read what we need
                self._known = self._newest()
        finally:
            self._reading.release()
        return True

    def _newest(self) -> _Known:
        try:
            keys = self._read()
        except UnavailableError as error:
            _log.warning("%s; keys read before are good for a day", error)
            before = self._known
            return _Known(before.keys, before.read_at, self._now(), failed=True)
        return _Known(keys, self._now(), self._now())
