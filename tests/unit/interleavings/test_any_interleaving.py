"""Whatever people, MLflow, freezes and crashes do to each other: the record and traffic hold.

A state machine over a whole Laurel with two services. Between any two writes anybody may act, and
the process may die; at the end nothing is left undone.
"""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from functools import cache
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pipeline.domain.admission import Frozen
from pipeline.domain.chain import Head, beginning, verify_chain
from pipeline.domain.history import served
from pipeline.domain.promotion import TriggerKind
from pipeline.ledger.story import ACCEPTED, HELD, RELEASED
from tests.unit.interleavings.people import APPROVERS, OPERATOR, People
from tests.unit.interleavings.services import APPROVED, FIRST, FRESH, SERVICES
from tests.unit.interleavings.world import Begun, World
from tests.unit.memory import folder_in_memory

a_service = st.sampled_from(SERVICES)
a_version = st.integers(1, 3)
_FAULTS = ("the target fails before", "the target fails after")
a_seed = st.integers(0, 2**16)


Rule = Callable[..., None]


def act(**drawn: st.SearchStrategy[Any]) -> Callable[[Rule], Rule]:
    """Make a rule of what somebody does, after which work goes on for a little."""

    def acted(do: Rule) -> Rule:
        def done(self: "AnyInterleaving", moves: int, seed: int, **given: object) -> None:
            do(self, **given)
            self.world.work(moves, seed)

        done.__name__ = do.__name__
        every: dict[str, Any] = {"moves": st.integers(0, 80), "seed": a_seed, **drawn}
        return cast("Callable[[Rule], Rule]", rule(**every))(done)

    return acted


@cache
def first_versions_serve() -> Begun:
    """Make a world in which both services serve their first version."""
    machine = AnyInterleaving(serving=False)
    with machine.end:
        for service in SERVICES:
            machine.people.move(service, FIRST)
        machine.rest()
        machine.people.stand_up()
        return machine.world.begun()


class AnyInterleaving(RuleBasedStateMachine):
    """Two services, people, a pager, MLflow's page and a process that dies."""

    def __init__(self, *, serving: bool = True) -> None:
        super().__init__()
        self.end = ExitStack()
        folder = self.end.enter_context(folder_in_memory())
        patched = self.end.enter_context(pytest.MonkeyPatch.context())
        self.world = World(folder, patched, first_versions_serve() if serving else None)
        self.people = People(self.world)
        self.interfered: set[str] = set()
        self.heads = {service: beginning(service) for service in SERVICES}

    def teardown(self) -> None:
        try:
            self.everything_comes_to_rest_where_it_should()
        finally:
            self.people.stand_up()
            self.world.end()
            self.end.close()

    @rule(moves=st.integers(1, 40), seed=a_seed)
    def work_goes_on(self, moves: int, seed: int) -> None:
        self.world.work(moves, seed)

    @rule(moves=st.integers(100, 300), seed=a_seed)
    def work_goes_on_for_long(self, moves: int, seed: int) -> None:
        self.world.work(moves, seed)

    @act(service=a_service, version=a_version)
    def the_alias_moves_and_mlflow_says_so(self, service: str, version: int) -> None:
        self.people.move(service, version)
        self.people.tell(service, version)
        self.interfered.discard(service)

    @act(service=a_service, version=st.none() | a_version)
    def the_alias_moves_silently(self, service: str, version: int | None) -> None:
        self.people.move(service, version)

    @act(service=a_service, version=a_version)
    def a_late_delivery_comes(self, service: str, version: int) -> None:
        self.people.tell(service, version)

    @act(who=st.sampled_from([OPERATOR, *APPROVERS]))
    def somebody_approves(self, who: str) -> None:
        self.people.approve(APPROVED, who)

    @act(service=a_service, hold=st.booleans())
    def somebody_holds_or_releases(self, service: str, *, hold: bool) -> None:
        if hold:
            self.people.hold(service)
        else:
            self.people.release(service)

    @act(service=a_service, to=st.sampled_from(["pager", None, "-1", "1"]), alias=st.booleans())
    def somebody_or_a_pager_rolls_back(self, service: str, to: str | None, *, alias: bool) -> None:
        self.interfered.add(service)
        if to == "pager":
            self.people.page(service)
        else:
            self.people.roll_back(service, to, move_alias=alias)

    @act(service=a_service, verb=st.sampled_from(["abort", "retry", "pause", "resume", "complete"]))
    def somebody_decides(self, service: str, verb: str) -> None:
        if verb in {"abort", "retry"}:
            self.interfered.add(service)
        self.people.decide(service, verb)

    @act(service=a_service, version=st.none() | a_version)
    def somebody_promotes_by_hand(self, service: str, version: int | None) -> None:
        self.interfered.add(service)
        self.people.promote(service, version)

    @act(weather=st.sampled_from(["freeze", "thaw", "mlflow goes", "mlflow comes", *_FAULTS]))
    def the_weather_changes(self, weather: str) -> None:
        match weather:
            case "freeze":
                until = self.world.clock.now() + timedelta(days=9)
                self.world.freezes.window = Frozen(until, "quiet")
            case "thaw":
                self.world.freezes.window = None
            case "mlflow goes" | "mlflow comes":
                self.world.models.away = weather == "mlflow goes"
            case _:
                self.world.judge.faults.append(weather == _FAULTS[0])

    @act(checkpoints_too=st.booleans())
    def the_process_dies(self, *, checkpoints_too: bool) -> None:
        self.people.stand_up()
        self.world.die(checkpoints_too=checkpoints_too)
        self.people.sit_down()

    @invariant()
    def nobody_acted_against_the_rules(self) -> None:
        assert self.world.judge.wrong == []

    @invariant()
    def the_chain_of_each_service_goes_on_where_it_was(self) -> None:
        history = self.world.ledger.history
        for service, known in self.heads.items():
            head = verify_chain(history.entries(service, after=known.number), service, known)
            assert isinstance(head, Head), head
            self.heads[service] = head

    def everything_comes_to_rest_where_it_should(self) -> None:
        self.rest()
        for service in SERVICES:
            self.at_rest(service)
            self.truth_or_hold(service)
            self.nothing_began_by_itself_under_a_hold(service)
        for service in SERVICES:
            self.people.move(service, FRESH)
        self.rest()
        for service in SERVICES:
            self.at_rest(service)
            assert self.world.serves(service) == FRESH
            assert self.world.ledger.holds.get(service) is None
        self.nobody_acted_against_the_rules()
        self.the_chain_of_each_service_goes_on_where_it_was()
        for service in SERVICES:
            whole = self.world.ledger.history.entries(service)
            assert verify_chain(whole, service) == self.heads[service]

    def rest(self) -> None:
        self.world.models.away = False
        self.world.freezes.window = None
        self.world.judge.faults.clear()
        self.world.settle(self.tend)

    def tend(self) -> None:
        for service in SERVICES:
            newest = self.world.newest(service)
            if newest is not None and not newest.phase.ended:
                self.people.decide(service, "resume")
                self.people.approve(service, "eve")

    def at_rest(self, service: str) -> None:
        """No canary is left but one that waits, and what is written down is what is there."""
        state, ledger = self.world.target.observe(service), self.world.ledger
        newest = self.world.newest(service)
        waits = newest is not None and self.world.waits_for_release(newest)
        assert waits or state.canary is None
        seen = ledger.states.get(service)
        assert seen is not None
        assert seen[0] == state
        path = served(ledger.history.fate(service))
        told = None if not path else path[-1].image
        assert told == (None if state.stable is None else str(state.stable.image))

    def truth_or_hold(self, service: str) -> None:
        """See the alias's version serve, unless a person decided otherwise since it was moved."""
        held = self.world.ledger.holds.get(service) is not None
        named = self.world.named(service)
        if named is not None and not held and service not in self.interfered:
            assert self.world.serves(service) == named

    def nothing_began_by_itself_under_a_hold(self, service: str) -> None:
        held = False
        for entry in self.world.ledger.history.fate(service):
            held = {HELD: True, RELEASED: False}.get(entry.kind, held)
            if entry.kind == ACCEPTED and TriggerKind(entry.data["trigger"]["kind"]).automatic:
                assert not held, f"entry {entry.number} began under a hold"


QUICK = settings(
    max_examples=10,
    stateful_step_count=25,
    deadline=None,
    phases=(
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ),  # shrinking takes minutes and finds little
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
AnyInterleaving.TestCase.settings = QUICK
TestAnyInterleaving = AnyInterleaving.TestCase


class ForLong(AnyInterleaving):
    """The same, for minutes."""


ForLong.TestCase.settings = settings(QUICK, max_examples=150, stateful_step_count=60)
TestAnyInterleavingForLong = pytest.mark.matrix(ForLong.TestCase)
