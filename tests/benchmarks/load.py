"""A small HTTP load: keep-alive connections on raw sockets, so that the client costs little."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.fakes.mlflow_webhook import Call, alias_event, deliver


@dataclass(frozen=True)
class Sample:
    """One request: its answer's status, 0 where none came, and how long that took."""

    request: int
    status: int
    seconds: float


def deliveries(prefix: str, count: int) -> list[bytes]:
    """Sign as many different deliveries of one alias as bytes for the wire."""
    now = datetime.now(UTC)
    calls = (
        deliver(alias_event(version=str(n + 1)), delivery=f"{prefix}-{n}", at=now)
        for n in range(count)
    )
    return [wire(call) for call in calls]


def wire(call: Call) -> bytes:
    """Write a call as HTTP/1.1."""
    headers = call.headers | {"content-length": str(len(call.body))}
    lines = [f"{call.method} {call.path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + call.body


def burst(port: int, requests: Sequence[bytes], connections: int) -> tuple[list[Sample], float]:
    """Send all requests as fast as the answers come; samples and seconds of the whole."""
    waiting = iter(enumerate(requests))
    started = time.perf_counter()
    samples = asyncio.run(_all(_connection(port, waiting) for _ in range(connections)))
    return samples, time.perf_counter() - started


def paced(port: int, requests: Sequence[bytes], per_second: int, connections: int) -> list[Sample]:
    """Send requests at a steady rate; a late answer delays no later request's due time."""

    async def due() -> list[Sample]:
        started = time.perf_counter()
        timed = [(n, each, started + n / per_second) for n, each in enumerate(requests)]
        shares = [timed[k::connections] for k in range(connections)]
        return await _all(_paced_connection(port, share) for share in shares)

    return asyncio.run(due())


def percentile(samples: Iterable[Sample], share: float) -> float:
    """Tell the time in milliseconds that this share of requests needed at most."""
    ordered = sorted(sample.seconds for sample in samples)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def _all(each: Iterable[Coroutine[None, None, list[Sample]]]) -> list[Sample]:
    gathered = await asyncio.gather(*each)
    return [sample for samples in gathered for sample in samples]


async def _connection(port: int, waiting: Iterator[tuple[int, bytes]]) -> list[Sample]:
    """Take requests from those that wait until none is left, or the server is gone."""
    samples: list[Sample] = []
    with suppress(OSError, EOFError):
        async with _connected(port) as (reader, writer):
            for n, request in waiting:
                samples.append(Sample(n, 0, 0.0))
                samples[-1] = await _exchange(reader, writer, n, request, time.perf_counter())
    return samples


async def _paced_connection(port: int, share: Iterable[tuple[int, bytes, float]]) -> list[Sample]:
    samples = []
    async with _connected(port) as (reader, writer):
        for n, request, due in share:
            await asyncio.sleep(due - time.perf_counter())
            samples.append(await _exchange(reader, writer, n, request, due))
    return samples


@asynccontextmanager
async def _connected(
    port: int,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):  # the server may be gone
            await writer.wait_closed()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, n: int, request: bytes, since: float
) -> Sample:
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    await reader.readexactly(int(length))
    return Sample(n, int(head[9:12]), time.perf_counter() - since)
