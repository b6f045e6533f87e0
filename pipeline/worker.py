"""Claim, run, keep what serves, tell MLflow and people, let go.

One worker per ledger on one machine. The engine runs promotions, one per service at a time. Six
loops go on beside it: one compares aliases with the ledger, one hands what was accepted to the
engine, one keeps what serves as it should be and writes down what it observes, one mends what was
changed by hand, one tells MLflow, so that an MLflow that hangs keeps no rollback waiting, and one
tidies the caches; and one for each channel by which people are told, so that none waits for
another. Each may be killed at any moment (law 4, law 8).
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Phase, Promotion
from pipeline.drift import Mender
from pipeline.engine import Engine
from pipeline.errors import TransientError
from pipeline.keeping import Keeper
from pipeline.ledger import Ledger
from pipeline.notify.notifier import Notifier
from pipeline.promote import carry_out
from pipeline.reconciler import Reconciler
from pipeline.record import Record
from pipeline.run import Run
from pipeline.tools import Tools
from pipeline.write_back import WriteBack

_log = logging.getLogger(__name__)
KEEP_EVERY = 2.0
"""Seconds between two looks at what serves (interfaces §7)."""
TIDY_EVERY = 3600.0
"""Seconds between two looks at the local caches."""


class Worker:
    """Carries promotions out until it is stopped; what it leaves is taken up at the next start.

    Parameters
    ----------
    services
        The services whose state is observed, by name.
    checkpoints
        The engine's file.
    heavy
        How many heavy steps may run at once on this machine.
    poll
        Seconds between two looks at the ledger.
    tidy
        Keeps the local caches within their size.
    notifiers
        Tell people, one each channel.

    """

    def __init__(  # noqa: PLR0913 - one worker has it all
        self,
        ledger: Ledger,
        tools: Tools,
        reconciler: Reconciler,
        services: Mapping[str, Plan],
        *,
        checkpoints: Path,
        heavy: int,
        poll: float,
        tidy: Callable[[], object] = lambda: None,
        notifiers: Sequence[Notifier] = (),
    ) -> None:
        self._ledger = ledger
        self._tools = tools
        self._reconciler = reconciler
        self._write_back = WriteBack(ledger, tools.models, tools.clock)
        self._keeper = Keeper(ledger, tools.target, tools.clock, services)
        self._mender = Mender(ledger, tools, services)
        self._heavy = threading.Semaphore(heavy)
        self._poll = poll
        self._tidy = tidy
        self._notifiers = notifiers
        self._engine = Engine(checkpoints, self._carry_out, poll=poll)
        self._look = threading.Event()
        self._hand_on = threading.Event()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Bring what serves back, then begin to work.

        Raises
        ------
        ConfigurationError
            Where another worker runs on this ledger, or Envoy cannot listen.

        """
        self._ledger.notifications.watch([each.name for each in self._notifiers])
        try:
            self._keeper.keep()
        except TransientError as error:
            _log.warning("not everything serves yet: %s", error)
        self._engine.start()
        self._begin("reconcile", self._reconcile, partial(self._wait, self._look))
        self._begin("dispatch", self._dispatch, partial(self._wait, self._hand_on))
        self._begin("keep", self._keeper.keep, lambda: self._stopping.wait(KEEP_EVERY))
        self._begin("mend", self._mender.tick, lambda: self._stopping.wait(KEEP_EVERY))
        self._begin("tidy", self._tidy_caches, lambda: None)
        self._begin("tell", self._write_back.tick, lambda: self._stopping.wait(self._poll))
        for each in self._notifiers:
            self._begin(f"tell {each.name}", each.tick, lambda: self._stopping.wait(self._poll))

    def wake(self) -> None:
        """Look at the ledger now: something was accepted."""
        self._look.set()
        self._hand_on.set()

    def stop(self) -> None:
        """Stop taking up work. What serves goes on serving; what ran is resumed at next start."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join(timeout=5)
        self._engine.stop()

    def _begin(self, name: str, do: Callable[[], None], wait: Callable[[], object]) -> None:
        def loop() -> None:
            while not self._stopping.is_set():
                try:
                    do()
                except Exception:  # noqa: BLE001 - a loop that ends strands all that follows
                    _log.exception("%s failed, trying again", name)
                wait()

        thread = threading.Thread(target=loop, name=f"laurel-{name}", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _wait(self, woken: threading.Event) -> None:
        woken.wait(self._poll)
        woken.clear()

    def _reconcile(self) -> None:
        self._reconciler.tick(self._keeper.unseen())
        self._hand_on.set()

    def _tidy_caches(self) -> None:
        """Tidy up an hour from now, in one of the places of heavy steps."""
        if self._stopping.wait(TIDY_EVERY):
            return
        while not self._heavy.acquire(timeout=self._poll):
            if self._stopping.is_set():
                return
        try:
            self._tidy()
        finally:
            self._heavy.release()

    def _dispatch(self) -> None:
        """Hand every open promotion without a live attempt to the engine (law 8)."""
        waiting = self._ledger.promotions.open()
        live = self._engine.live() if waiting else set()
        stranded = [each for each in waiting if (each.id, each.attempt) not in live]
        if stranded:
            self._engine.forget()  # among them attempts that died before they could say so
        for promotion in stranded:
            self._enqueue(promotion)

    def _enqueue(self, promotion: Promotion) -> None:
        attempt = promotion.attempt
        if promotion.phase is Phase.RUNNING:  # it began, and nobody carries it any more
            attempt += 1
            self._ledger.promotions.change(promotion.id, attempt=attempt)
        self._engine.enqueue(
            promotion.id, attempt, service=promotion.service, sequence=promotion.sequence
        )

    def _carry_out(self, promotion_id: str, attempt: int) -> None:
        promotion = self._ledger.promotions.get(promotion_id)
        if promotion is None or promotion.phase.ended or promotion.attempt != attempt:
            return
        now = self._tools.clock.now()
        promotion = self._ledger.promotions.change(
            promotion_id, phase=Phase.RUNNING, started_at=promotion.started_at or now
        )
        about = {"promotion": promotion_id, "service": promotion.service}
        _log.info("%s begins: %s", promotion.kind, promotion.model, extra=about)
        record = Record(promotion, self._ledger, self._tools.clock)
        run = Run(record, self._engine, self._tools.clock, self._heavy)
        ended = carry_out(run, self._tools)
        self._keeper.look(promotion.service)
        self._ledger.promotions.change(
            promotion_id,
            phase=ended.phase,
            reason=ended.reason,
            waiting=None,
            ended_at=self._tools.clock.now(),
        )
        _log.info("%s %s: %s", promotion.kind, ended.phase, ended.reason, extra=about)
        self.wake()
