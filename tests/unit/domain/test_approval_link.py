"""A link says what it was sealed with, or nothing at all."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain.approval_link import LONGEST, ApprovalLink, new_link, read_link
from pipeline.domain.references import Digest

KEY = b"k" * 32
IMAGE = Digest.of(b"one")
UNTIL = datetime(2026, 11, 22, 12, tzinfo=UTC)
LINK = new_link("p-1", IMAGE, "ada", until=UNTIL, token="t1")
SEALED = LINK.sealed(KEY)

texts = st.text(max_size=40)


@given(texts, texts, texts, st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - hypothesis wants bounds without a zone
def test_what_is_sealed_is_read_as_it_was_written(
    promotion: str, actor: str, token: str, until: datetime
) -> None:
    whole = until.replace(microsecond=0, tzinfo=UTC)
    link = new_link(promotion, IMAGE, actor, until=whole, token=token)
    assert read_link(link.sealed(KEY), KEY) == link


@given(st.integers(0, len(SEALED) - 1), st.characters())
def test_a_link_with_any_character_changed_is_none(at: int, other: str) -> None:
    changed = SEALED[:at] + other + SEALED[at + 1 :]
    assert read_link(changed, KEY) == (LINK if changed == SEALED else None)


@given(st.text())
def test_no_other_text_is_a_link(text: str) -> None:
    assert read_link(text, KEY) is None


@pytest.mark.parametrize(
    "text", [SEALED[:-1], SEALED + "=", SEALED + ".", "v2" + SEALED[2:], "v1." + "a" * LONGEST]
)
def test_a_link_that_was_cut_or_grew_is_none(text: str) -> None:
    assert read_link(text, KEY) is None


def test_another_key_reads_nothing_of_it() -> None:
    assert read_link(SEALED, b"j" * 32) is None


def test_no_link_is_like_another() -> None:
    again = new_link("p-1", IMAGE, "ada", until=UNTIL, token="t1")
    assert isinstance(again, ApprovalLink)
    assert again.nonce != LINK.nonce
    assert len(SEALED) < 400
