"""A promotion's story as server-sent events: each thing as it happens, until the promotion ends.

::

    id: 4711
    event: look
    data: {"id": 4711, "at": …, "kind": "look", "data": {…}}

    event: promotion
    data: {…}                    whenever phase, reason, image or waiting changed; has no id

Whoever comes back with ``Last-Event-ID`` misses nothing. A stream ends, too, when its caller may no
longer read, and when the server stops.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from pipeline.domain.promotion import Promotion
from pipeline.ledger import Event, Ledger
from webhook_service.views import events_json, promotion_json

MEDIA_TYPE = "text/event-stream"
_EVERY = 0.25  # seconds between two looks at the ledger
_LOOKS_BETWEEN_CHECKS = 4  # of the caller's token, which may be revoked meanwhile
_LOOKS_BETWEEN_SIGNS_OF_LIFE = 60
_MOST = 100  # at once: each is a reader of the ledger
_HEADERS = {"X-Accel-Buffering": "no"}  # a proxy that buffers would keep the news to itself
_SIGN_OF_LIFE = ":\n\n"


class Streams:
    """The streams of one receiver."""

    def __init__(self) -> None:
        self._open = 0
        self._stopping = asyncio.Event()

    def close(self) -> None:
        """End every stream, on the event loop: the server stops."""
        self._stopping.set()

    def of(
        self, promotion: Promotion, ledger: Ledger, after: int, allowed: Callable[[], bool]
    ) -> StreamingResponse:
        """Tell what happens to a promotion after event ``after``.

        Raises
        ------
        HTTPException
            Where too many listen already.

        """
        if self._open >= _MOST:
            raise HTTPException(503, "Too many listen: ask again later.", {"Retry-After": "30"})
        told = self._told(promotion, ledger, after, allowed)
        return StreamingResponse(told, headers=_HEADERS, media_type=MEDIA_TYPE)

    async def _told(
        self, promotion: Promotion, ledger: Ledger, after: int, allowed: Callable[[], bool]
    ) -> AsyncIterator[str]:
        self._open += 1
        try:
            last, looks = "", 0
            yield _SIGN_OF_LIFE
            while not self._stopping.is_set():
                if looks % _LOOKS_BETWEEN_CHECKS == 0 and not await run_in_threadpool(allowed):
                    return
                now, events = await run_in_threadpool(_look, ledger, promotion, after)
                for event in events_json(events):
                    yield _frame(event.kind, event, event.id)
                    after = event.id
                standing = _standing(now)
                if standing != last:
                    yield standing
                if now.phase.ended:
                    return
                looks += 1
                if looks % _LOOKS_BETWEEN_SIGNS_OF_LIFE == 0:
                    yield _SIGN_OF_LIFE
                last = standing
                await self._pause()
        finally:
            self._open -= 1

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_EVERY):
                await self._stopping.wait()


def _look(ledger: Ledger, promotion: Promotion, after: int) -> tuple[Promotion, list[Event]]:
    """Read where it stands, then what happened: where it has ended, that is all of it."""
    now = ledger.promotions.get(promotion.id) or promotion
    return now, ledger.events.of(promotion.id, after=after)


def _standing(promotion: Promotion) -> str:
    return _frame("promotion", promotion_json(promotion))


def _frame(kind: str, content: BaseModel, id_: int | None = None) -> str:
    head = "" if id_ is None else f"id: {id_}\n"
    return f"{head}event: {kind}\ndata: {content.model_dump_json(by_alias=True)}\n\n"
