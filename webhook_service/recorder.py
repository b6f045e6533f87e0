"""Commits deliveries in groups: one writer, one full sync for as many as wait for it.

A delivery is answered after its commit, never before. What cannot be taken on is told at once, so
that MLflow tries again; what was taken on is written even when the receiver stops.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from pipeline.domain.delivery import AliasDelivery
from pipeline.errors import UnavailableError
from pipeline.ledger import Ledger

_LARGEST_GROUP = 256
_WAITING_ROOM = 4096
_COUNT_EVERY = 1.0

_Result = TypeVar("_Result")
_Waiting = tuple[AliasDelivery, asyncio.Future[AliasDelivery]]

_log = logging.getLogger(__name__)


class Recorder:
    """The one writer of deliveries and of refused ones' counts; use it as a context.

    Parameters
    ----------
    ledger
        Where deliveries are stored.
    wake
        Called on the event loop after each commit; it must not block.

    """

    def __init__(self, ledger: Ledger, wake: Callable[[], None]) -> None:
        self._ledger = ledger
        self._wake = wake
        self._queue: asyncio.Queue[_Waiting | None] = asyncio.Queue()
        self._refused: Counter[str] = Counter()
        self._refused_some = asyncio.Event()
        self._open = False

    async def __aenter__(self) -> Self:
        """Start writing."""
        self._open = True
        self._thread = ThreadPoolExecutor(1, "laurel-recorder")
        self._writing = asyncio.create_task(self._write())
        self._counting = asyncio.create_task(self._count())
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Take nothing more on, write what was, and stop."""
        self._open = False
        self._queue.put_nowait(None)
        await self._writing
        self._counting.cancel()
        await self._flush_counts()
        self._thread.shutdown()

    async def record(self, delivery: AliasDelivery) -> AliasDelivery:
        """Store a delivery durably and return what stands under its id; a repeat finds the first.

        Raises
        ------
        UnavailableError
            When the ledger cannot be written, too many wait already, or the receiver stops.

        """
        if not self._open or self._queue.qsize() >= _WAITING_ROOM:
            raise UnavailableError(
                "record a delivery", "the ledger", "the receiver is stopping or full; send again"
            )
        answer: asyncio.Future[AliasDelivery] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((delivery, answer))
        return await answer

    def count_refused(self, reason: str) -> None:
        """Count a refused delivery; written together with others, at most once a second."""
        self._refused[reason] += 1
        self._refused_some.set()

    async def _write(self) -> None:
        while (first := await self._queue.get()) is not None:
            group = [first]
            while len(group) < _LARGEST_GROUP and not self._queue.empty():
                following = self._queue.get_nowait()
                if following is None:
                    self._queue.put_nowait(None)  # the end: after this group
                    break
                group.append(following)
            await self._commit(group)

    async def _commit(self, group: Sequence[_Waiting]) -> None:
        try:
            stands = await self._in_thread(
                lambda: self._ledger.deliveries.record([delivery for delivery, _ in group])
            )
        except Exception as error:  # noqa: BLE001 - whatever it was, those who wait must be told
            await self._not_committed(group, error)
            return
        for delivery, answer in group:
            if not answer.done():
                answer.set_result(stands[delivery.id])
        self._wake()

    async def _not_committed(self, group: Sequence[_Waiting], error: Exception) -> None:
        if len(group) > 1 and not isinstance(error, UnavailableError):
            for each in group:  # one row that cannot be stored must not fail the others
                await self._commit([each])
            return
        for _, answer in group:
            if not answer.done():
                answer.set_exception(error)

    async def _count(self) -> None:
        while True:
            await self._refused_some.wait()
            await self._flush_counts()
            await asyncio.sleep(_COUNT_EVERY)

    async def _flush_counts(self) -> None:
        self._refused_some.clear()
        counts, self._refused = self._refused, Counter()
        try:
            await self._in_thread(lambda: self._store_counts(counts))
        except UnavailableError as error:
            self._refused.update(counts)
            _log.warning("refused deliveries are not counted yet: %s", error)

    def _store_counts(self, counts: Counter[str]) -> None:
        for reason, times in counts.items():
            self._ledger.deliveries.count_refused(reason, times)

    def _in_thread(self, work: Callable[[], _Result]) -> asyncio.Future[_Result]:
        return asyncio.get_running_loop().run_in_executor(self._thread, work)
