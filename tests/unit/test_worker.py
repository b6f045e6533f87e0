"""The worker: hands what was accepted to the engine, once, and takes up what others left."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from pipeline.domain.pods import Drift, PodPlan
from pipeline.domain.promotion import Kind, Phase
from pipeline.domain.references import Digest, ImageRef
from pipeline.domain.serving import Hold
from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.notify.notifier import Notifier
from pipeline.reconciler import Reconciler
from pipeline.worker import Worker
from tests.fakes.local_machine import eventually
from tests.servers.receiving import Receiver, receiving
from tests.unit.notify.telling import notifier_of, sender_to
from tests.unit.promotion_scene import MODEL, SERVICE, Scene, refuse, scene

LAST_STEP = 50
pytestmark = pytest.mark.xdist_group("engine")  # DBOS is one per process


@pytest.fixture
def one(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made


def worker_of(one: Scene, folder: Path, *notifiers: Notifier) -> Worker:
    plans = {SERVICE: one.plan}
    reconciler = Reconciler(one.ledger, one.models, plans, one.clock, timedelta(seconds=0))
    return Worker(
        one.ledger,
        one.tools,
        reconciler,
        plans,
        checkpoints=folder / "engine.db",
        heavy=1,
        poll=0.02,
        notifiers=notifiers,
    )


@contextmanager
def working(one: Scene, folder: Path) -> Iterator[Worker]:
    worker = worker_of(one, folder)
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()


def after_each_shift(one: Scene, do: Callable[[int], None]) -> None:
    """Do something with the percent that a canary has just been given."""
    shift = one.target.shift

    def shifted(service: str, revision: str, percent: int, sequence: int) -> None:
        shift(service, revision, percent, sequence)
        do(percent)

    one.target.shift = shifted  # type: ignore[method-assign]  # a hook, in this scene alone


def ended(one: Scene, count: int) -> bool:
    return sum(promotion.phase.ended for promotion in one.promotions) == count


def test_an_alias_that_moves_is_carried_out_and_told(one: Scene, tmp_path: Path) -> None:
    with working(one, tmp_path) as worker:
        one.models.point(MODEL, "champion", 1)
        worker.wake()
        eventually(lambda: ended(one, 1), "the first's end")
        one.models.point(MODEL, "champion", 2)
        worker.wake()
        eventually(lambda: ended(one, 2), "the second's end")
        eventually(lambda: not one.ledger.promotions.untold(), "MLflow's tags")
    assert [p.phase for p in one.promotions] == [Phase.SUCCEEDED] * 2
    assert one.serves == (2, 0)
    observed = one.ledger.states.get(SERVICE)
    assert observed is not None
    assert observed[0] == one.target.observe(SERVICE)


def test_what_was_accepted_while_nobody_worked_is_taken_up(one: Scene, tmp_path: Path) -> None:
    one.accept(1)
    with working(one, tmp_path):
        eventually(lambda: ended(one, 1), "its end")
    assert one.promotions[0].attempt == 1


def test_what_ran_when_its_checkpoints_were_lost_is_a_new_attempt(
    one: Scene, tmp_path: Path
) -> None:
    accepted = one.accept(1)
    one.ledger.promotions.change(accepted.id, phase=Phase.RUNNING)
    with working(one, tmp_path):
        eventually(lambda: ended(one, 1), "its end")
    assert (one.promotions[0].phase, one.promotions[0].attempt) == (Phase.SUCCEEDED, 2)


def test_an_attempt_that_dies_unsaid_is_begun_anew(
    one: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, full = one.ledger.promotions.change, [1, 1]

    def unwritable(promotion: str, **fields: object) -> object:
        if full and fields.get("phase") is Phase.RUNNING:
            full.pop()
            raise UnavailableError("use the ledger", "disk full", "free disk space")
        return change(promotion, **fields)

    monkeypatch.setattr(one.ledger.promotions, "change", unwritable)
    one.accept(1)
    with working(one, tmp_path):
        eventually(lambda: ended(one, 1), "its end")
    assert one.promotions[0].phase is Phase.SUCCEEDED


def test_a_loop_that_fails_is_tried_again(
    one: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    unsettled, faults = one.ledger.deliveries.unsettled, [1, 1, 1]

    def away() -> object:
        if faults:
            faults.pop()
            raise UnavailableError("use the ledger", "locked", "wait")
        return unsettled()

    monkeypatch.setattr(one.ledger.deliveries, "unsettled", away)
    one.models.point(MODEL, "champion", 1)
    with working(one, tmp_path):
        eventually(lambda: ended(one, 1), "its end")
    assert "reconcile failed, trying again" in caplog.text


def test_a_target_that_cannot_be_observed_leaves_what_was_seen_before(
    one: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.promote(1)
    seen = one.target.observe(SERVICE)
    one.ledger.states.observed(seen, one.clock.now())

    def away(_service: str) -> object:
        raise UnavailableError("observe", SERVICE, "start Envoy")

    monkeypatch.setattr(one.target, "observe", away)
    with working(one, tmp_path):
        pass
    known = one.ledger.states.get(SERVICE)
    assert known is not None
    assert known[0] == seen


def test_a_rollback_waits_for_no_mlflow_that_hangs(one: Scene, tmp_path: Path) -> None:
    one.promote(1)
    one.promote(2)
    hangs, over = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        over.wait(30)

    with working(one, tmp_path):
        one.models.at_read = hang
        one.models.point(MODEL, "champion", 3)
        eventually(hangs.is_set, "MLflow to hang")
        back = one.promotions[0]
        draft = replace(back, id="back", kind=Kind.ROLLBACK, phase=Phase.PENDING, alias=None)
        one.ledger.promotions.accept(replace(draft, target=back.image, ended_at=None))
        eventually(lambda: one.serves == (1, 0), "the rollback")
        over.set()


def test_a_canary_that_no_promotion_answers_for_goes_back(one: Scene, tmp_path: Path) -> None:
    one.promote(1)
    seen: list[tuple[int | None, int]] = []

    def look(percent: int) -> None:
        worker_of(one, tmp_path)._keeper.keep()
        seen.append(one.serves)
        if percent == LAST_STEP:
            raise KeyboardInterrupt

    after_each_shift(one, look)
    with pytest.raises(KeyboardInterrupt):
        one.promote(2)
    assert seen == [(1, 10), (1, 50)]
    (tmp_path / "new").mkdir()
    with scene(tmp_path / "new", images=one.images, target=one.target) as lost:
        worker_of(lost, tmp_path)._keeper.keep()
        assert lost.serves == (1, 0)


def test_a_lost_ledger_undoes_no_persons_rollback_although_the_target_is_away_at_first(
    one: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.promote(1)
    one.promote(2)
    one.roll_back_to(one.promotions[0].image)
    one.models.point(MODEL, "champion", 2)
    held = Hold("ada", "complaints", one.clock.now(), 2)
    one.target.hold(SERVICE, held)
    (tmp_path / "new").mkdir()
    with scene(tmp_path / "new", images=one.images, target=one.target, models=one.models) as lost:
        observe = lost.target.observe
        asked, readings = threading.Semaphore(0), threading.Semaphore(0)

        def away(_service: str) -> object:
            asked.release()
            raise UnavailableError("observe", SERVICE, "its API server does not answer")

        monkeypatch.setattr("pipeline.worker.KEEP_EVERY", 0.02)
        monkeypatch.setattr(lost.target, "observe", away)
        with working(lost, tmp_path):
            for _ in range(5):
                assert asked.acquire(timeout=30)
            assert lost.promotions == []
            lost.models.at_read = readings.release
            monkeypatch.setattr(lost.target, "observe", observe)
            for _ in range(5):
                assert readings.acquire(timeout=30)
        assert lost.promotions == []
        assert lost.ledger.holds.get(SERVICE) == held
        assert lost.serves == (1, 0)


def test_what_was_changed_by_hand_is_put_back_where_the_service_asks_for_that(
    one: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.worker.KEEP_EVERY", 0.02)
    one.plan = replace(one.plan, pods=PodPlan(drift=Drift.HEAL))
    one.promote(1)
    image = one.promotions[0].image
    one.models.point(MODEL, "champion", 1)
    with working(one, tmp_path):
        one.target.edit(SERVICE, ImageRef("ml/fraud", Digest.of(b"theirs")), "another image")
        eventually(lambda: not one.target.observe(SERVICE).drift, "it is put back")
    stable = one.target.observe(SERVICE).stable
    assert stable is not None
    assert stable.image == image


def test_a_target_that_cannot_be_used_stops_the_start_and_nothing_runs(
    one: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.accept(1)

    def taken() -> None:
        raise ConfigurationError("Envoy does not start: is the port taken?")

    monkeypatch.setattr(one.target, "keep", taken)
    with pytest.raises(ConfigurationError, match="port"):
        worker_of(one, tmp_path).start()
    assert not (tmp_path / "engine.db").exists()


def test_a_target_that_is_slow_to_start_stops_nothing(
    one: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def slow() -> None:
        raise UnavailableError("start Envoy", "its address", "not done after 20 s")

    monkeypatch.setattr(one.target, "keep", slow)
    one.accept(1)
    with working(one, tmp_path):
        eventually(lambda: ended(one, 1), "its end")
    assert "not everything serves yet" in caplog.text


def test_a_bad_end_is_recorded_with_its_reason(one: Scene, tmp_path: Path) -> None:
    refuse(one)
    one.models.point(MODEL, "champion", 1)
    with working(one, tmp_path):
        eventually(lambda: ended(one, 1), "its end")
    (promotion,) = one.promotions
    assert promotion.phase is Phase.FAILED
    assert "answers its own logged example with 500" in promotion.reason
    assert promotion.ended_at is not None


def test_an_ended_promotion_is_not_carried_out_again(one: Scene, tmp_path: Path) -> None:
    one.promote(1)
    steps = one.steps()
    worker = worker_of(one, tmp_path)
    for promotion, attempt in ((one.promotions[0].id, 1), ("never-heard-of", 1)):
        worker._carry_out(promotion, attempt)
    assert one.steps() == steps


def test_an_attempt_that_was_given_up_is_not_carried_out(one: Scene, tmp_path: Path) -> None:
    accepted = one.accept(1)
    one.ledger.promotions.change(accepted.id, attempt=2)
    worker = worker_of(one, tmp_path)
    worker._carry_out(accepted.id, 1)
    assert (one.promotions[0].phase, one.steps()) == (Phase.PENDING, [])


def test_two_workers_on_one_file_are_refused(one: Scene, tmp_path: Path) -> None:
    with (
        working(one, tmp_path),
        pytest.raises(ConfigurationError, match="another worker"),
    ):
        worker_of(one, tmp_path).start()


def test_the_caches_are_tidied_now_and_then_in_a_place_of_heavy_steps(
    one: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.worker.TIDY_EVERY", 0.01)
    tidied, worker = threading.Event(), worker_of(one, tmp_path)

    def tidy() -> None:
        assert not worker._heavy.acquire(blocking=False)
        tidied.set()

    monkeypatch.setattr(worker, "_tidy", tidy)
    worker._heavy.acquire()
    worker.start()
    try:
        assert not tidied.is_set()
        worker._heavy.release()
        eventually(tidied.is_set, "the caches tidied")
    finally:
        worker.stop()


def test_who_waits_to_tidy_up_holds_nobody_up_who_stops(
    one: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.worker.TIDY_EVERY", 0.01)
    worker = worker_of(one, tmp_path)
    worker._heavy.acquire()
    worker.start()
    worker.stop()
    assert not any(thread.is_alive() for thread in worker._threads)


def test_a_channel_that_hangs_keeps_no_promotion_waiting_and_is_told_at_last(
    one: Scene, tmp_path: Path
) -> None:
    hangs, over = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        over.wait(60)

    with receiving() as receiver:
        receiver.meanwhile = hang
        sender = sender_to(one, receiver.url)
        worker = worker_of(one, tmp_path, notifier_of(one, sender))
        worker.start()
        try:
            one.ledger.holds.set(SERVICE, Hold("ada", "an audit", one.clock.now()))
            eventually(hangs.is_set, "the receiver to hang")
            one.ledger.holds.release(SERVICE, actor="ada", at=one.clock.now())
            for version in (1, 2):
                one.models.point(MODEL, "champion", version)
                worker.wake()
                eventually(partial(ended, one, version), "its end")
            assert {posted.json["type"] for posted in receiver.posted} == {
                "dev.laurel.service.held"
            }
            over.set()
            eventually(lambda: len(told(receiver)) == 4, "both ends told")
        finally:
            over.set()
            worker.stop()
    types = [each.removeprefix("dev.laurel.") for each in told(receiver)]
    assert types == ["service.held", "service.released", *["promotion.succeeded"] * 2]


def told(receiver: Receiver) -> list[str]:
    """Name what was told, once however often it was sent."""
    return list(
        {posted.headers["webhook-id"]: posted.json["type"] for posted in receiver.posted}.values()
    )
