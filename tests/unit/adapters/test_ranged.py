"""A large file comes in order, whole, and as the one version it began as, or it does not come."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters import ranged
from pipeline.adapters.ranged import AHEAD, Answer, in_order
from pipeline.domain.evidence import StoredFile
from pipeline.errors import CorruptedError, RateLimitedError, UnavailableError

_CHUNK = 7


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranged, "PART", 16)
    monkeypatch.setattr(ranged, "_WAITS", (0.0, 0.0, 0.0))


def broken(retry_after: float | None = None) -> UnavailableError:
    return UnavailableError("read", "it", "the connection broke", retry_after=retry_after)


@dataclass
class Memory:
    """A store whose next connections break after as many bytes as ``breaks`` says."""

    content: bytes
    etag: str = '"1"'
    breaks: deque[int] = field(default_factory=deque)
    asked: list[tuple[int, int, str]] = field(default_factory=list)
    error: UnavailableError | RateLimitedError = field(default_factory=broken)
    total: int | None = None

    @contextmanager
    def open(self, first: int, last: int, etag: str) -> Iterator[Answer]:
        self.asked.append((first, last, etag))
        yield Answer(self.etag, self.total, self._chunks(self.content[first : last + 1]))

    def _chunks(self, content: bytes) -> Iterator[bytes]:
        left = self.breaks.popleft() if self.breaks else None
        for at in range(0, len(content), _CHUNK):
            if left is not None and at >= left:
                raise self.error
            yield content[at : at + _CHUNK]


def read(store: Memory, size: int | None = None) -> bytes:
    listed = len(store.content) if size is None else size
    return b"".join(in_order(store, StoredFile("weights", listed)))


@given(
    content=st.binary(max_size=400),
    breaks=st.lists(st.integers(0, 16), max_size=3),
)
def test_whatever_breaks_three_times_comes_as_it_is(content: bytes, breaks: list[int]) -> None:
    assert read(Memory(content, breaks=deque(breaks))) == content


def test_a_small_file_is_one_request() -> None:
    store = Memory(b"x" * 16)
    assert read(store) == store.content
    assert store.asked == [(0, 15, "")]


def test_an_empty_file_is_asked_for_too() -> None:
    store = Memory(b"", total=0)
    assert read(store) == b""
    assert store.asked == [(0, -1, "")]


def test_every_part_but_the_first_is_asked_for_by_version() -> None:
    store = Memory(bytes(100))
    read(store)
    assert {etag for first, _, etag in store.asked if first} == {'"1"'}


def test_the_rest_of_a_broken_part_is_asked_for_and_no_more() -> None:
    store = Memory(bytes(16), breaks=deque([8]))
    read(store)
    assert store.asked == [(0, 15, ""), (14, 15, '"1"')]


def test_a_store_that_always_breaks_is_left_after_four_times() -> None:
    store = Memory(bytes(100), breaks=deque([0] * 100))
    with pytest.raises(UnavailableError, match="the connection broke"):
        read(store)
    assert len(store.asked) == 4


def test_a_part_further_on_that_always_breaks_ends_the_file() -> None:
    store = Memory(bytes(100), breaks=deque([16, *[0] * 100]))
    with pytest.raises(UnavailableError):
        read(store)


def test_a_store_that_wants_a_long_pause_is_left_at_once() -> None:
    store = Memory(bytes(10), breaks=deque([0]), error=broken(retry_after=60.0))
    with pytest.raises(UnavailableError):
        read(store)
    assert len(store.asked) == 1


def test_without_a_version_nothing_is_patched_together() -> None:
    store = Memory(bytes(16), etag="", breaks=deque([8]))
    with pytest.raises(UnavailableError):
        read(store)
    assert len(store.asked) == 1


def test_another_version_in_a_later_part_is_noticed_without_the_stores_help() -> None:
    store = Memory(bytes(16 * (AHEAD + 4)))
    stream = in_order(store, StoredFile("weights", len(store.content)))
    next(stream)
    store.etag = '"2"'
    with pytest.raises(CorruptedError, match="changed while it was read"):
        list(stream)


@pytest.mark.parametrize("size", [0, 15, 17, 40])
def test_another_length_than_listed_is_noticed(size: int) -> None:
    with pytest.raises(CorruptedError, match=f"not the {size} bytes"):
        read(Memory(bytes(16), total=16), size)


def test_an_answer_shorter_than_it_was_asked_for_is_noticed_without_a_total() -> None:
    with pytest.raises(CorruptedError, match="not the 30 bytes"):
        read(Memory(bytes(29)), 30)


def test_an_answer_longer_than_it_was_asked_for_is_left_there() -> None:
    with pytest.raises(CorruptedError, match="not the 2 bytes"):
        read(Endless(bytes(2)), 2)


class Endless(Memory):
    """A store that does not stop."""

    def _chunks(self, content: bytes) -> Iterator[bytes]:
        while True:
            yield content


class Counting(Memory):
    """A store that counts what is asked of it and not given yet."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.given = 0
        self.most = 0

    @contextmanager
    def open(self, first: int, last: int, etag: str) -> Iterator[Answer]:
        self.most = max(self.most, last + 1 - self.given)
        with super().open(first, last, etag) as answer:
            yield answer


def test_a_slow_reader_has_no_more_than_its_parts_in_memory() -> None:
    store = Counting(bytes(16 * 100))
    for chunk in in_order(store, StoredFile("weights", 1600)):
        store.given += len(chunk)
    assert store.given == 1600
    assert 16 * AHEAD <= store.most <= 16 * (AHEAD + 1)


class Stuck(Memory):
    """A store that sends the first part, and of the others one chunk until it is let on."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.on = threading.Event()
        self.sent = 0

    def _chunks(self, content: bytes) -> Iterator[bytes]:
        first = len(self.asked) == 1
        yield content[:1]
        if not first:
            self.on.wait()
        for at in range(1, len(content)):
            self.sent += 1
            yield content[at : at + 1]


def test_leaving_early_ends_every_connection_at_its_next_chunk() -> None:
    store = Stuck(bytes(16 * 4))
    stream = in_order(store, StoredFile("weights", 64))
    for _ in range(2):
        next(stream)
    stream.close()
    before = store.sent
    store.on.set()
    threads = [each for each in threading.enumerate() if each.name.startswith("laurel-part")]
    for thread in threads:
        thread.join(timeout=30)
        assert not thread.is_alive()
    assert store.sent <= before + 3
