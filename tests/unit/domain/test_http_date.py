"""A server's clock, as its answers tell it."""

from datetime import UTC, datetime

import pytest

from pipeline.domain.http_date import told_time

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "said",
    [
        "Sun, 01 Mar 2026 12:00:00 GMT",
        "Sun, 01 Mar 2026 12:00:00 -0000",
        "Sun, 01 Mar 2026 13:00:00 +0100",
    ],
)
def test_a_date_is_a_moment_in_utc(said: str) -> None:
    assert told_time({"Date": said}) == NOON


@pytest.mark.parametrize("headers", [{}, {"Date": ""}, {"Date": "yesterday"}])
def test_what_is_no_date_tells_no_time(headers: dict[str, str]) -> None:
    assert told_time(headers) is None
