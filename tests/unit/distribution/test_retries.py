"""How long a registry may have us wait."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPResponse

from pipeline.distribution.retries import retry_after


def said(retry_after: str) -> HTTPResponse:
    return HTTPResponse(status=429, headers={"Retry-After": retry_after})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7),
        (" 0 ", 0),
        ("9" * 400, 86_400),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
        ("Fri, 31 Dec 1999 23:59:59 -0000", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("\u0661", None),
        ("Fri, 31 Dec 1999 23:59:59 +9999", None),
    ],
)
def test_a_wait_is_read_as_seconds_or_as_a_date(text: str, seconds: float | None) -> None:
    assert retry_after(said(text)) == seconds


def test_a_date_to_come_is_waited_for() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    wait = retry_after(said(later))
    assert wait is not None
    assert 0 <= wait <= 90


@given(st.text())
def test_no_text_breaks_the_reading_of_a_wait(text: str) -> None:
    wait = retry_after(said(text))
    assert wait is None or 0 <= wait <= 86_400
