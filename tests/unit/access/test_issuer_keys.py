"""Keys are kept while their issuer is away, read again when it rotates, and not for strangers."""

import threading
from dataclasses import dataclass, field

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from pipeline.access.issuer_keys import AGAIN, FRESH, KEPT, IssuerKeys
from pipeline.access.key_source import Keys
from pipeline.errors import UnavailableError

_PUBLIC = ec.generate_private_key(ec.SECP256R1()).public_key()
KEY = jwt.PyJWK(ECAlgorithm.to_jwk(_PUBLIC, as_dict=True))


@dataclass
class Issuer:
    """Publishes keys, or does not answer; and the clock that its reader looks at."""

    ids: set[str] = field(default_factory=lambda: {"first"})
    away: bool = False
    asked: int = 0
    now: float = 1000.0

    def read(self) -> Keys:
        self.asked += 1
        if self.away:
            raise UnavailableError("read an issuer's keys", "https://issuer", "it is away")
        return dict.fromkeys(self.ids, KEY)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def keys(issuer: Issuer) -> IssuerKeys:
    return IssuerKeys("https://issuer", issuer.read, lambda: issuer.now)


def test_nothing_is_asked_before_a_token_comes_and_then_once(
    issuer: Issuer, keys: IssuerKeys
) -> None:
    assert issuer.asked == 0
    assert keys.find("first") is KEY
    assert keys.find("first") is KEY
    assert issuer.asked == 1


def test_a_key_that_was_rotated_in_is_found_at_once(issuer: Issuer, keys: IssuerKeys) -> None:
    assert keys.find("first") is KEY
    issuer.now += AGAIN
    issuer.ids = {"first", "second"}
    assert keys.find("second") is KEY
    assert issuer.asked == 2


def test_invented_keys_have_the_issuer_asked_once_in_thirty_seconds(
    issuer: Issuer, keys: IssuerKeys
) -> None:
    for second in range(61):
        assert keys.find(f"invented-{second}") is None
        issuer.now += 1
    assert issuer.asked == 3


def test_a_withdrawn_key_ends_when_the_keys_are_read_again(
    issuer: Issuer, keys: IssuerKeys
) -> None:
    assert keys.find("first") is KEY
    issuer.ids = {"second"}
    issuer.now += FRESH - 1
    assert keys.find("first") is KEY
    issuer.now += 1
    assert keys.find("first") is None


def test_known_keys_go_on_for_a_day_while_the_issuer_is_away_and_no_longer(
    issuer: Issuer, keys: IssuerKeys
) -> None:
    assert keys.find("first") is KEY
    issuer.away = True
    issuer.now += KEPT - 1
    assert keys.find("first") is KEY
    issuer.now += 1
    with pytest.raises(UnavailableError, match="cannot be read now"):
        keys.find("first")
    issuer.away, issuer.now = False, issuer.now + AGAIN
    assert keys.find("first") is KEY


def test_an_issuer_that_is_away_is_not_asked_by_every_call(
    issuer: Issuer, keys: IssuerKeys
) -> None:
    issuer.away = True
    for _ in range(30):
        with pytest.raises(UnavailableError):
            keys.find("first")
        issuer.now += 1
    assert issuer.asked == 1


def test_whether_a_new_key_is_the_issuer_s_is_not_guessed_while_it_is_away(
    issuer: Issuer, keys: IssuerKeys
) -> None:
    assert keys.find("first") is KEY
    issuer.away, issuer.now = True, issuer.now + AGAIN
    with pytest.raises(UnavailableError):
        keys.find("second")
    assert keys.find("first") is KEY


class Slow(Issuer):
    """An issuer whose answer comes when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.called, self.answers = threading.Event(), threading.Event()

    def read(self) -> Keys:
        found = super().read()
        if self.asked > 1:
            self.called.set()
            assert self.answers.wait(30)
        return found


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def slowly(slow: Slow, monkeypatch: pytest.MonkeyPatch) -> IssuerKeys:
    """Keys that were read once, and are being read again by somebody who found one unknown."""
    monkeypatch.setattr("pipeline.access.issuer_keys._PATIENCE", 0.01)
    found = IssuerKeys("https://issuer", slow.read, lambda: slow.now)
    assert found.find("first") is KEY
    slow.now += FRESH
    return found


def test_who_knows_a_key_does_not_wait_for_others_who_read(slow: Slow, slowly: IssuerKeys) -> None:
    reading = threading.Thread(target=slowly.find, args=["unknown"])
    reading.start()
    assert slow.called.wait(30)
    try:
        assert slowly.find("first") is KEY
        with pytest.raises(UnavailableError):
            slowly.find("second")
    finally:
        slow.answers.set()
        reading.join()
    assert slow.asked == 2


def test_those_who_wait_are_told_what_was_read_meanwhile_and_it_is_read_once(
    slow: Slow, slowly: IssuerKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.access.issuer_keys._PATIENCE", 30.0)
    slow.ids = {"first", "second"}
    found: list[object] = []
    waiting = [
        threading.Thread(target=lambda: found.append(slowly.find("second"))) for _ in range(5)
    ]
    for thread in waiting:
        thread.start()
    assert slow.called.wait(30)
    slow.answers.set()
    for thread in waiting:
        thread.join()
    assert found == [KEY] * 5
    assert slow.asked == 2


def test_only_a_few_wait_so_that_a_slow_issuer_cannot_stop_the_rest(
    slow: Slow, slowly: IssuerKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slowly, "_waiting", threading.BoundedSemaphore(1))
    monkeypatch.setattr("pipeline.access.issuer_keys._PATIENCE", 30.0)
    reading = threading.Thread(target=slowly.find, args=["unknown"])
    reading.start()
    assert slow.called.wait(30)
    try:
        with pytest.raises(UnavailableError):
            slowly.find("second")
    finally:
        slow.answers.set()
        reading.join()
