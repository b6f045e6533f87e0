"""A retrained model keeps its environment for a day, unless a fresh one is asked for."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from pipeline.adapters.remembered_locks import KEPT_FOR, RememberedLocks
from pipeline.domain.evidence import Lock, Refused
from pipeline.domain.references import Digest
from tests.fakes.clock import FakeClock


class Index:
    """Answers with a new release each time it is asked."""

    def __init__(self) -> None:
        self.answers = 0
        self.refuses = False
        self.installed: list[Lock] = []

    def resolve(
        self,
        requirements: Iterable[str],
        *,
        runtime: str,
        python_version: str,
        fresh: bool = False,  # noqa: ARG002 - every answer is
    ) -> Lock | Refused:
        self.answers += 1
        if self.refuses:
            return Refused("they clash")
        text = f"{' '.join(requirements)} release {self.answers}"
        return Lock(text, Digest.of(text.encode()), runtime, python_version)

    def install(self, lock: Lock, target: Path, *, python: Path) -> None:
        del target, python
        self.installed.append(lock)


@pytest.fixture
def index() -> Index:
    return Index()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def locks(index: Index, clock: FakeClock, tmp_path: Path) -> RememberedLocks:
    return RememberedLocks(index, tmp_path / "locks", clock)


def ask(locks: RememberedLocks, *lines: str, runtime: str = "mlflow", fresh: bool = False) -> str:
    asked = lines or ("a", "b")
    lock = locks.resolve(asked, runtime=runtime, python_version="3.11", fresh=fresh)
    assert isinstance(lock, Lock)
    assert lock.digest == Digest.of(lock.text.encode())
    return lock.text


def test_the_same_requirements_in_any_order_get_the_lock_of_the_last_day(
    locks: RememberedLocks, clock: FakeClock
) -> None:
    first = ask(locks)
    clock.sleep(KEPT_FOR.total_seconds() - 1)
    assert ask(locks, "b", "a") == first
    clock.sleep(1)
    assert ask(locks) != first


def test_other_requirements_or_another_runtime_get_their_own(locks: RememberedLocks) -> None:
    assert len({ask(locks), ask(locks, "a"), ask(locks, runtime="mlserver")}) == 3


def test_a_fresh_one_is_asked_for_and_then_remembered(locks: RememberedLocks) -> None:
    first = ask(locks)
    second = ask(locks, fresh=True)
    assert first != second
    assert ask(locks) == second


def test_a_refusal_is_not_remembered(locks: RememberedLocks, index: Index) -> None:
    index.refuses = True
    assert locks.resolve(["a"], runtime="mlflow", python_version="3.11") == Refused("they clash")
    index.refuses = False
    assert ask(locks, "a") == "a release 2"


@pytest.mark.parametrize("content", ["", "[]", '{"text": "x"}', '{"resolved_at": 7}'])
def test_what_is_no_lock_is_resolved_anew(
    locks: RememberedLocks, tmp_path: Path, content: str
) -> None:
    first = ask(locks)
    (kept,) = (tmp_path / "locks").glob("*.json")
    kept.write_text(content)
    assert ask(locks) != first


def test_a_lock_from_the_future_is_not_believed(
    locks: RememberedLocks, index: Index, tmp_path: Path
) -> None:
    first = ask(locks)
    earlier = FakeClock()
    earlier.sleep(-60)
    assert ask(RememberedLocks(index, tmp_path / "locks", earlier)) != first


def test_installing_is_the_resolvers(locks: RememberedLocks, index: Index, tmp_path: Path) -> None:
    lock = Lock("x", Digest.of(b"x"), "mlflow", "3.11")
    locks.install(lock, tmp_path, python=tmp_path)
    assert index.installed == [lock]


def test_a_lock_is_found_by_its_digest_however_old(
    locks: RememberedLocks, index: Index, clock: FakeClock, tmp_path: Path
) -> None:
    resolved = locks.resolve(["a"], runtime="mlflow", python_version="3.11")
    assert isinstance(resolved, Lock)
    clock.sleep(3 * KEPT_FOR.total_seconds())
    assert RememberedLocks(index, tmp_path / "locks", clock).known(resolved.digest) == resolved
    assert locks.known(Digest.of(b"another")) is None


@pytest.mark.parametrize("content", ["", "[]", '{"text": "x"}'])
def test_what_is_not_the_lock_of_its_digest_is_not_known(
    locks: RememberedLocks, tmp_path: Path, content: str
) -> None:
    resolved = locks.resolve(["a"], runtime="mlflow", python_version="3.11")
    assert isinstance(resolved, Lock)
    (tmp_path / "locks" / "by-digest" / resolved.digest.hex).write_text(content)
    assert locks.known(resolved.digest) is None
