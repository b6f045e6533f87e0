"""Give the new revision more and more of the traffic for as long as the analysis finds no harm.

Safe to repeat: every look is a note in the journal that holds the whole state, so that a restarted
worker continues the same test at the same step. Who calls it puts traffic back after any bad end.
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from pipeline.domain.admission import FREEZE
from pipeline.domain.canary import CanaryState
from pipeline.domain.evidence import (
    Analysis,
    CanaryRevision,
    ProvenRevision,
    Refused,
    Stopped,
    Unknown,
)
from pipeline.domain.plan import Plan
from pipeline.domain.promotion import Control
from pipeline.domain.traffic import Complete, Decision, Fail, Gate, Hold, Raise, decide
from pipeline.errors import LaurelError, TransientError
from pipeline.ports import Clock, Freezes, Journal, Metrics, ServingTarget, StillWanted

LOOK = "look"
"""Kind of the journal's notes about looks."""
ATTENTION = "attention"
"""Kind of the journal's notes that people are to be told."""
_TELL_AFTER = 3600.0
_TELL_AT_FIRST = 120.0
"""Seconds that counters may be away. Those that were never there are more likely to be a mistake in
the settings than an outage; a new pod takes a scrape or two until it has any.
"""
_LONGEST_SLEEP = 0.25
"""Seconds until a decision to stop is seen, however rare the looks are: a rollback waits for it."""


def canary(  # noqa: PLR0913 - a step's keyword-only parameters are its permission list
    proven: ProvenRevision,
    *,
    plan: Plan,
    sequence: int,
    target: ServingTarget,
    metrics: Metrics,
    clock: Clock,
    journal: Journal,
    freezes: Freezes,
    still_wanted: StillWanted,
) -> Analysis | Refused | Stopped:
    """Take the revision through the steps of its plan, and judge it all the while.

    The alias is read again before the first percent, before each raise and before the end; while
    MLflow or the request counters cannot be read the percent stays, until the step's deadline.
    While the service is frozen or held or a person paused it, the percent stays too, and is judged;
    a person who completes it ends it well.

    Raises
    ------
    StepError
        Where the target cannot be reached or won't let us; unreachable metrics are waited for.

    """
    revision = proven.revision
    watch = _Watch(
        revision,
        revision.stable or "",
        plan,
        sequence,
        target,
        metrics,
        clock,
        journal,
        freezes,
        still_wanted,
    )
    return watch.run()


def judged(revision: CanaryRevision, journal: Journal) -> Analysis:
    """Tell from the journal what a canary came to that was judged to its end before a crash."""
    passed = {note["percent"]: note for note in journal.notes(LOOK) if note["verdict"] == "pass"}
    told = ({k: v for k, v in note.items() if k != "state"} for note in passed.values())
    return Analysis(revision, tuple(told))


@dataclass(frozen=True, slots=True)
class _Watch:
    """One canary with everything it may touch."""

    revision: CanaryRevision
    stable: str
    plan: Plan
    sequence: int
    target: ServingTarget
    metrics: Metrics
    clock: Clock
    journal: Journal
    freezes: Freezes
    still_wanted: StillWanted

    def run(self) -> Analysis | Refused | Stopped:
        state = self._resume()
        given, looked = 0, self.clock.now()  # a restarted worker: the target may have forgotten
        while (control := self.journal.control()) is None:
            gate = self._gate()
            if gate.closed:
                state = state.idled((self.clock.now() - looked).total_seconds())
            looked = self.clock.now()
            before, (state, decision) = state, self._look(state, gate)
            match self._if_wanted(state, decision):
                case Stopped() as stopped:
                    return stopped
                case Fail(reason):
                    return self._fail(state, reason)
                case _ if state.percent != given and gate.closed is None:
                    state, given = self._give(state), state.percent
                case Complete():
                    return self._pass(state, gate.completed)
                case Raise(percent):
                    state, given = self._raise(state, percent), percent
                case Hold() as hold:
                    self._hold(before, state, hold, gate.until)
            self._pause()
        return Stopped(control)

    def _gate(self) -> Gate:
        frozen = self.freezes.frozen(self.revision.service, self.clock.now())
        return Gate.of(frozen, self.journal.steering(), held=self.journal.held() is not None)

    def _resume(self) -> CanaryState:
        looks = self.journal.notes(LOOK)
        if looks:
            return CanaryState.from_json(looks[-1]["state"])
        return CanaryState.begin(self.clock.now())

    def _look(self, state: CanaryState, gate: Gate) -> tuple[CanaryState, Decision]:
        names = (self.stable, self.revision.revision)
        samples, worse, away = None, None, ""
        try:
            seen = self.metrics.read(self.revision.service, names)
        except TransientError as error:
            away = str(error)
            self._tell_if_long_away(state, away)
        else:
            stable, new = (seen.get(name, {}) for name in names)
            state = state.look(stable, new, plan=self.plan.analysis, at=self.clock.now())
            samples, worse = state.samples[1], state.worse(self.plan.analysis)
        return state, decide(
            self.plan.canary,
            percent=state.percent,
            elapsed=self._elapsed(state),
            samples=samples,
            worse=worse,
            away=away,
            gate=gate,
        )

    def _if_wanted(self, state: CanaryState, decision: Decision) -> Decision | Stopped:
        """Ask before the canary gets more whether it should still get any."""
        if isinstance(decision, Hold | Fail):
            return decision
        answer = self.still_wanted()
        if not isinstance(answer, Unknown):
            return answer or decision
        limit = self.plan.canary.deadline
        if self._elapsed(state) < limit:
            return Hold("mlflow", answer.why)
        return Fail(
            f"MLflow could not be asked for {self.plan.model}@{self.plan.alias} before the step's "
            f"deadline of {limit:g} s ({answer.why}); make it reachable, then retry"
        )

    def _pass(self, state: CanaryState, completed: Control | None) -> Analysis:
        self._note(state, "pass", "" if completed is None else f"ended well by {_word(completed)}")
        self.journal.waiting(None)
        return judged(self.revision, self.journal)

    def _raise(self, state: CanaryState, percent: int) -> CanaryState:
        """Note it first: what cannot be noted cannot be judged, and gets no more."""
        if state.percent:
            self._note(state, "pass")
        state = state.raised(percent, self.clock.now())
        self._note(state, "hold")
        return self._give(state)

    def _give(self, state: CanaryState) -> CanaryState:
        """Give the percent; with it the step begins, even where its raise was noted long ago."""
        self._shift(state.percent)
        self.journal.waiting(None)
        if not state.given:
            state = state.begun(self.clock.now())
            self._note(state, "hold")
        return state

    def _hold(
        self, before: CanaryState, state: CanaryState, hold: Hold, until: datetime | None
    ) -> None:
        """Note a look that saw something; one that waits for a day must not fill the ledger."""
        if (state.readings, state.evidence) != (before.readings, before.evidence):
            self._note(state, "hold", hold.detail)
        self.journal.waiting(hold.waiting_for, until if hold.waiting_for == FREEZE else None)

    def _fail(self, state: CanaryState, reason: str) -> Refused:
        """Take the traffic away first; the record and what the revision says can wait."""
        self._shift(0)
        with suppress(LaurelError):  # a kindness: the counts alone are reason enough
            if said := self.target.trouble(self.revision.service, self.revision.revision):
                reason = f"{said}; {reason}"
        self._note(state, "fail", reason)
        passed = judged(self.revision, self.journal).steps
        return Refused(
            f"{self.revision.service}'s canary {self.revision.revision} went back "
            f"from {state.percent} %: {reason}",
            {"looks": [*passed, state.summary(self.plan.analysis)]},
        )

    def _shift(self, percent: int) -> None:
        self.target.shift(self.revision.service, self.revision.revision, percent, self.sequence)

    def _note(self, state: CanaryState, verdict: str, detail: str = "") -> None:
        summary = state.summary(self.plan.analysis)
        note = summary | {"verdict": verdict, "detail": detail, "state": state.to_json()}
        self.journal.note(LOOK, note)

    def _tell_if_long_away(self, state: CanaryState, why: str) -> None:
        since = state.looked_at.isoformat()
        away = (self.clock.now() - state.looked_at).total_seconds()
        told = any(note["since"] == since for note in self.journal.notes(ATTENTION))
        limit = _TELL_AFTER if state.readings else _TELL_AT_FIRST
        if away >= limit and not told:
            self.journal.note(
                ATTENTION,
                {
                    "since": since,
                    "reason": f"{self.revision.service}'s canary stays at {state.percent} % "
                    f"because its requests cannot be counted: {why}",
                },
            )

    def _elapsed(self, state: CanaryState) -> float:
        return state.elapsed(self.clock.now())

    def _pause(self) -> None:
        left = self.plan.canary.look_every
        while left > 0 and self.journal.control() is None:
            self.clock.sleep(min(left, _LONGEST_SLEEP))
            left -= _LONGEST_SLEEP


def _word(completed: Control) -> str:
    return f"{completed.actor}: {completed.reason}".removesuffix(": ")
