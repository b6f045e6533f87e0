"""One attempt of one promotion: its checkpoints, its story, its decisions, its patience.

``promote.py`` says what happens; this says how each step is carried out: looked up in the engine's
checkpoints, tried again while a neighbour is away, told to the ledger, and unwrapped, so that a
refusal or a decision ends the attempt where it stands.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, ParamSpec, Protocol, TypeVar

from pipeline.domain.evidence import Broken, Refused, Stopped, Unknown
from pipeline.domain.promotion import Control, ControlKind, Phase, Promotion
from pipeline.domain.references import Alias
from pipeline.errors import LaurelError, RejectedError, TransientError, UnavailableError
from pipeline.evidence_json import from_json, to_json, told
from pipeline.interrupts import (
    Interrupted,
    InterruptibleClock,
    InterruptibleStore,
    interruptible,
)
from pipeline.ports import ArtifactStore, Clock, ModelRegistry
from pipeline.record import Record

P = ParamSpec("P")
T = TypeVar("T")

_log = logging.getLogger(__name__)
PATIENCE = timedelta(hours=24)
"""How long a neighbour that is away is waited for before traffic (interfaces §8.12)."""
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
_LONGEST_TRY = timedelta(hours=1)  # what works for longer does not hang
_SLICE = 1.0
_PHASE = {ControlKind.ABORT: Phase.ABORTED, ControlKind.SUPERSEDE: Phase.SUPERSEDED}


class Ended(Exception):  # noqa: N818 - not an error: how an attempt leaves the flow
    """The attempt is over: which phase, and the sentence that a person reads."""

    def __init__(self, phase: Phase, reason: str) -> None:
        super().__init__(phase, reason)
        self.phase = phase
        self.reason = reason


class Checkpoints(Protocol):
    """What the durable engine does for a run."""

    def step(self, name: str, do: Callable[[], Any]) -> Any:  # noqa: ANN401 - JSON
        """Do something once per attempt; its JSON result, or the recorded one."""


class Run:
    """Carries out the steps of one attempt.

    Parameters
    ----------
    heavy
        Limits how many heavy steps run at once on this machine.

    """

    def __init__(
        self,
        record: Record,
        checkpoints: Checkpoints,
        clock: Clock,
        heavy: threading.Semaphore,
    ) -> None:
        self.record = record
        self.clock = InterruptibleClock(clock, record.control)
        self._checkpoints = checkpoints
        self._clock = clock
        self._heavy = heavy

    @property
    def promotion(self) -> Promotion:
        """The promotion as it is recorded now."""
        return self.record.promotion

    def unless_ended(self) -> None:
        """Let the attempt begin, unless a step ended the promotion before a crash.

        Raises
        ------
        Ended
            As that step ended it: what was found bad is not given another look.

        """
        for ended in self.record.notes("step_ended"):
            if (phase := Phase(ended["phase"])) is not Phase.SUCCEEDED:
                raise Ended(phase, ended["evidence"]["reason"])

    def step(
        self, do: Callable[P, T | Refused | Stopped], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do a step once per attempt, and return its evidence.

        Raises
        ------
        Ended
            Where the step refused, a decision stopped it, or it broke for good.

        """
        return self._recorded(do.__name__, lambda: do(*args, **kwargs))

    def long_step(
        self, do: Callable[P, T | Refused | Stopped], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do a step that may wait for others for minutes; a decision leaves it to itself."""
        return self._recorded(
            do.__name__, lambda: interruptible(lambda: do(*args, **kwargs), self.clock)
        )

    def heavy_step(
        self, do: Callable[P, T | Refused | Stopped], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do a step that costs the machine, when one of its few places is free."""

        def placed() -> T | Refused | Stopped:
            while not self._heavy.acquire(timeout=_SLICE):
                self.record.waiting("a place among the heavy steps of this machine")
                self.clock.look()
            self.record.waiting(None)
            return interruptible(in_place, self.clock)

        def in_place() -> T | Refused | Stopped:
            try:
                return do(*args, **kwargs)
            finally:
                self._heavy.release()

        return self._recorded(do.__name__, placed)

    def fresh(
        self, do: Callable[P, T | Refused | Stopped], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do a step whose evidence is never restored from a checkpoint (interfaces §8.16)."""
        return unwrap(self._attempt(do.__name__, lambda: do(*args, **kwargs)))

    def interruptible(self, store: ArtifactStore) -> ArtifactStore:
        """Give a store whose streams end within a second of a decision."""
        return InterruptibleStore(store, self.clock)

    def confirm(self, registry: ModelRegistry) -> None:
        """Read the alias again before going on; wait while nobody can say what it names."""

        def asked() -> Stopped | None:
            answer = self.still_wanted(registry)
            if isinstance(answer, Unknown):
                raise UnavailableError("read the alias again", "mlflow", answer.why)
            return answer

        unwrap(self._patiently("confirm", asked))

    def still_wanted(self, registry: ModelRegistry) -> Stopped | Unknown | None:
        """Tell whether the alias still names this promotion's version (law 1)."""
        control = self.record.control()
        if control is not None:
            return Stopped(control)
        wanted = self.promotion
        if wanted.alias is None:
            return None
        alias = Alias(wanted.model.name, wanted.alias, wanted.model.workspace)
        try:
            version = registry.alias(alias)
        except TransientError as error:
            return Unknown(str(error))
        if version is None:
            return Unknown(f"{alias} names no version")
        if version != wanted.model.version:
            moved = f"{alias} names version {version} now"
            now = self._clock.now()
            return Stopped(Control(ControlKind.SUPERSEDE, "mlflow", moved, now))
        return None

    def insist(self, what: str, do: Callable[[], T]) -> T:
        """Do what must be done however long it takes: putting traffic back (interfaces §8.12).

        The story says each time why it could not be done, and the promotion what it waits for.
        """
        wait = _FIRST_WAIT
        while True:
            try:
                done = do()
            except Exception as error:  # noqa: BLE001 - whatever it is, traffic must go back
                _log.exception("%s failed, trying again", what)
                with suppress(LaurelError):  # the ledger may be what is away
                    self.record.note("retry", {"name": what, "why": str(error)})
                    self.record.waiting(f"a way to {what}: {error}")
                self._clock.sleep(wait)
                wait = min(wait * 2, _LONGEST_WAIT)
            else:
                with suppress(LaurelError):
                    self.record.waiting(None)
                return done

    def _recorded(self, name: str, do: Callable[[], T | Refused | Stopped]) -> T:
        recorded = self._checkpoints.step(name, lambda: to_json(self._attempt(name, do)))
        outcome: T | Refused | Stopped | Broken = from_json(recorded)
        return unwrap(outcome)

    def _attempt(
        self, name: str, do: Callable[[], T | Refused | Stopped]
    ) -> T | Refused | Stopped | Broken:
        """Try a step until it has an answer; every try is told to the ledger."""
        control = self.record.control()
        if control is not None:
            return Stopped(control)
        tries = sum(note["name"] == name for note in self.record.notes("step_started"))
        self.record.note("step_started", {"name": name, "attempt": tries + 1})
        _log.info("step %s begins", name, extra=self._about())
        outcome = self._patiently(name, do)
        ended = _told(outcome)
        self.record.note("step_ended", {"name": name, **ended})
        _log.info("step %s %s", name, ended["phase"], extra=self._about())
        return outcome

    def _patiently(
        self, name: str, do: Callable[[], T | Refused | Stopped]
    ) -> T | Refused | Stopped | Broken:
        wait, lost = _FIRST_WAIT, timedelta()
        while True:
            began = self._clock.now()
            try:
                outcome = do()
            except TransientError as error:
                # only what the outage cost: a step may have waited well for days before
                lost += min(self._clock.now() - began, _LONGEST_TRY)
                if lost > PATIENCE:
                    return Broken(str(error))
                with suppress(LaurelError):  # the ledger may be what is away; a canary is judged on
                    self.record.note("retry", {"name": name, "why": str(error)})
                    self.record.waiting(error.subject)
                pause = min(error.retry_after or wait, _LONGEST_WAIT)
                lost += timedelta(seconds=pause)
                control = self._pause(pause)
                if control is not None:
                    return Stopped(control)
                wait = min(wait * 2, _LONGEST_WAIT)
            except Interrupted as interrupted:
                return Stopped(interrupted.control)
            except LaurelError as error:
                return _ended(error)
            except Exception as error:  # noqa: BLE001 - a fault of our own: it says so and ends
                _log.exception("step %s broke", name)
                return Broken(f"step {name} broke: {type(error).__name__}: {error}; see the log")
            else:
                self.record.waiting(None)
                return outcome

    def _about(self) -> dict[str, str]:
        return {"promotion": self.promotion.id, "service": self.promotion.service}

    def _pause(self, seconds: float) -> Control | None:
        """Wait, and leave within a second of a decision."""
        while (control := self.record.control()) is None and seconds > 0:
            self._clock.sleep(min(seconds, _SLICE))
            seconds -= _SLICE
        return control


def unwrap(outcome: T | Refused | Stopped | Broken) -> T:
    """Return a step's evidence; raise :class:`Ended` for anything else that it answered."""
    match outcome:
        case Refused(reason):
            raise Ended(Phase.FAILED, reason)
        case Stopped(control):
            raise Ended(_PHASE[control.kind], control.reason)
        case Broken(reason):
            raise Ended(Phase.ERRORED, reason)
        case _:
            return outcome


def _ended(error: LaurelError) -> Refused | Broken:
    """Tell a "no" of the target's own policy or quota from a fault that must be mended."""
    return Refused(str(error)) if isinstance(error, RejectedError) else Broken(str(error))


def _told(outcome: object) -> dict[str, Any]:
    """Say in the event how a step ended; evidence is told by the class that follows it."""
    match outcome:
        case Refused(reason, evidence):
            return {"phase": "failed", "evidence": {"reason": reason, **evidence}}
        case Broken(reason):
            return {"phase": "errored", "evidence": {"reason": reason}}
        case Stopped(control):
            return {"phase": _PHASE[control.kind].value, "evidence": {"reason": control.reason}}
        case _:
            return {"phase": "succeeded", "evidence": told(outcome)}
