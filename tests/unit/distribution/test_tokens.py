"""How long a token is good, and for what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.distribution.login import Login
from pipeline.distribution.request import Scope
from pipeline.distribution.tokens import Token, Wallet, lifetime

ADA, GRACE = Login("here", "ada"), Login("here", "grace")
_ACTIONS = st.lists(st.sampled_from(["pull", "push", "delete"]), min_size=1, unique=True).map(tuple)
_SCOPES = st.lists(st.builds(Scope, st.sampled_from(["a", "b"]), _ACTIONS), min_size=1).map(tuple)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_used_until_shortly_before_its_end() -> None:
    clock = Clock()
    wallet = Wallet(clock)
    wallet.keep("t", ADA, (Scope("a"),), 60.0)
    clock.now += 49
    assert wallet.find(ADA, [Scope("a")]) == "t"
    clock.now += 1
    assert wallet.find(ADA, [Scope("a")]) is None


def test_a_token_is_for_whom_it_was_given_to() -> None:
    wallet = Wallet()
    wallet.keep("t", ADA, (Scope("a"),), 60.0)
    assert wallet.find(GRACE, [Scope("a")]) is None


def test_the_newest_token_is_taken_and_a_dropped_one_is_not() -> None:
    wallet = Wallet()
    for text in ("old", "new"):
        wallet.keep(text, ADA, (Scope("a"),), 60.0)
    assert wallet.find(ADA, [Scope("a")]) == "new"
    wallet.drop("new")
    assert wallet.find(ADA, [Scope("a")]) == "old"


def test_a_token_does_not_print_itself() -> None:
    assert "secret" not in repr(Token("secret", ADA, (), 0.0))


@given(_SCOPES, _SCOPES)
def test_a_token_covers_what_it_was_asked_for_and_nothing_else(
    given: tuple[Scope, ...], wanted: tuple[Scope, ...]
) -> None:
    pairs = [
        {(s.repository, action) for s in scopes for action in s.actions}
        for scopes in (given, wanted)
    ]
    covered = Token("t", ADA, given, 0.0).covers(ADA, wanted)
    assert covered == (pairs[1] <= pairs[0])


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (300, 300),
        (0.5, 0.5),
        (0, 0),
        (-7, 0),
        (10**400, 86_400),
        (float("inf"), 86_400),
        (float("nan"), 60),
        (None, 60),
        ("300", 60),
        (True, 60),
    ],
)
def test_a_lifetime_that_is_no_number_of_seconds_is_a_minute(said: object, seconds: float) -> None:
    assert lifetime(said) == seconds
