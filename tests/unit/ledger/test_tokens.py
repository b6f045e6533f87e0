"""The ledger keeps no token, and what it keeps of one opens nothing."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.access import Grant, Role, SingleUse
from pipeline.errors import InvalidReferenceError
from pipeline.ledger import IssuedToken, Ledger, new_token, repeated_id

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)
OPERATOR = Grant(frozenset({Role.OPERATOR, Role.APPROVER}), frozenset({"fraud", "churn"}))
READER = Grant(frozenset({Role.READER}))
SINGLE = SingleUse("a" * 64, NOW + timedelta(minutes=10))


def issue(
    ledger: Ledger, name: str = "ci", grant: Grant = READER, until: datetime | None = None
) -> tuple[str, IssuedToken]:
    text, token = new_token(name, grant, NOW, until)
    ledger.tokens.add(token)
    return text, token


@pytest.mark.parametrize("grant", [OPERATOR, READER])
@pytest.mark.parametrize("until", [None, NOW + DAY])
def test_a_token_is_found_by_its_text_as_it_was_made(
    ledger: Ledger, grant: Grant, until: datetime | None
) -> None:
    text, token = issue(ledger, grant=grant, until=until)
    assert ledger.tokens.find(text) == token
    assert ledger.tokens.list() == [token]


def test_no_part_of_a_token_that_opens_anything_is_in_the_file(
    ledger: Ledger, tmp_path: Path
) -> None:
    text, _ = issue(ledger)
    secret = text.split("_", 2)[2].encode()
    assert len(secret) == 43
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"ci" in kept
    assert secret not in kept


def test_a_text_that_is_wrong_by_one_letter_is_nobody_s(ledger: Ledger) -> None:
    text, _ = issue(ledger)
    issue(ledger, "other")
    for at in range(len(text)):
        wrong = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        assert ledger.tokens.find(wrong) is None
    for shorter in ("", "laurel", "laurel_", text[:-1], text + "A", "\udc80" + text):
        assert ledger.tokens.find(shorter) is None


def test_a_token_is_active_until_it_ends_or_is_ended() -> None:
    _, token = new_token("ci", READER, NOW, NOW + DAY)
    assert token.state(NOW + DAY - timedelta(microseconds=1)) == "active"
    assert token.state(NOW + DAY) == "expired"
    assert replace(token, revoked_at=NOW).state(NOW) == "revoked"
    assert replace(token, expires_at=None).state(NOW + 9999 * DAY) == "active"


def test_a_revoked_token_is_still_known_so_that_its_bearer_can_be_told(ledger: Ledger) -> None:
    text, token = issue(ledger)
    assert ledger.tokens.revoke("ci", NOW + DAY) == token
    found = ledger.tokens.find(text)
    assert found == replace(token, revoked_at=NOW + DAY)


def test_a_name_is_one_active_token_s_and_free_again_afterwards(ledger: Ledger) -> None:
    issue(ledger, until=NOW + DAY)
    with pytest.raises(InvalidReferenceError, match="laurel token revoke ci"):
        issue(ledger)
    ledger.tokens.revoke("ci", NOW)
    issue(ledger)
    assert [token.state(NOW) for token in ledger.tokens.list()].count("revoked") == 1


def test_a_name_whose_token_has_expired_is_free(ledger: Ledger) -> None:
    issue(ledger, until=NOW)
    issue(ledger)
    assert len(ledger.tokens.list()) == 2


def test_only_an_active_token_can_be_revoked(ledger: Ledger) -> None:
    issue(ledger, until=NOW + DAY)
    for name, at in (("nobody", NOW), ("ci", NOW + DAY)):
        with pytest.raises(InvalidReferenceError, match="laurel token list"):
            ledger.tokens.revoke(name, at)


def test_a_single_use_token_is_good_for_one_change_told_any_number_of_times(
    ledger: Ledger,
) -> None:
    first = ledger.spent_tokens.spend(SINGLE, "change", NOW)
    again = ledger.spent_tokens.spend(SINGLE, "change", NOW + timedelta(minutes=1))
    assert first is not None
    assert again == first
    assert first.at == NOW
    assert ledger.spent_tokens.spend(SINGLE, "another", NOW) is None
    other = ledger.spent_tokens.spend(replace(SINGLE, id="b" * 64), "change", NOW)
    assert other is not None
    assert other.id != first.id


def test_of_many_changes_with_one_token_at_once_one_is_let_through(ledger: Ledger) -> None:
    changes = [f"change-{n % 5}" for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda change: ledger.spent_tokens.spend(SINGLE, change, NOW), changes)
        )
    through = {change for change, answer in zip(changes, answers, strict=True) if answer}
    assert len(through) == 1
    assert len({answer.id for answer in answers if answer}) == 1


def test_spent_tokens_are_forgotten_when_they_have_ended_by_themselves(ledger: Ledger) -> None:
    ledger.spent_tokens.spend(SINGLE, "change", NOW)
    assert ledger.spent_tokens.spend(SINGLE, "another", SINGLE.until) is None
    after = SINGLE.until + timedelta(seconds=1)
    ledger.spent_tokens.spend(replace(SINGLE, id="b" * 64), "other", after)
    assert ledger.spent_tokens.spend(SINGLE, "another", after) is not None


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - the zone is given beside
    st.text(),
    st.text(),
)
def test_an_id_is_repeated_for_the_same_seed_alone_and_sorts_by_its_time(
    at: datetime, seed: str, other: str
) -> None:
    made = repeated_id(at, seed)
    assert made == repeated_id(at, seed)
    assert (made == repeated_id(at, other)) is (seed == other)
    assert made < repeated_id(at + timedelta(milliseconds=2), other)
    assert made[14] == "7"
    assert made[19] in "89ab"
