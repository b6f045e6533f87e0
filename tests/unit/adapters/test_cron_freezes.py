"""Freeze windows, on the clocks of people."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.adapters.cron_freezes import CronFreezes, Window

BERLIN = ZoneInfo("Europe/Berlin")
WEEKEND = Window("0 18 * * FRI", timedelta(hours=62), BERLIN, "a quiet weekend")


def frozen(text: str, *windows: Window, service: str = "fraud") -> str | None:
    found = CronFreezes(windows or [WEEKEND]).frozen(service, datetime.fromisoformat(text))
    return None if found is None else found.until.isoformat()


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-20T16:59:59.999999+00:00", None),
        ("2026-11-20T17:00:00+00:00", "2026-11-23T07:00:00+00:00"),
        ("2026-11-23T06:59:59.999999+00:00", "2026-11-23T07:00:00+00:00"),
        ("2026-11-23T07:00:00+00:00", None),
        ("2026-07-03T16:00:00+00:00", "2026-07-06T06:00:00+00:00"),
    ],
)
def test_a_window_begins_on_the_local_clock_and_lasts_its_time(at: str, until: str | None) -> None:
    assert frozen(at) == until


def test_a_window_over_the_change_of_clocks_lasts_its_time_all_the_same() -> None:
    # 25 October 2026, 03:00 in Berlin is 02:00 again
    assert frozen("2026-10-23T16:00:00+00:00") == "2026-10-26T06:00:00+00:00"


def test_a_window_at_an_hour_that_the_clock_leaves_out_begins_after_it() -> None:
    night = Window("30 2 * * *", timedelta(minutes=30), BERLIN, "backups")
    assert frozen("2026-03-29T01:10:00+00:00", night) == "2026-03-29T01:30:00+00:00"


def test_a_window_may_be_of_some_services_alone() -> None:
    ours = Window("0 18 * * FRI", timedelta(hours=62), BERLIN, "", {"fraud"})
    assert frozen("2026-11-20T17:00:00+00:00", ours)
    assert frozen("2026-11-20T17:00:00+00:00", ours, service="churn") is None


def test_of_several_windows_the_last_to_end_counts() -> None:
    short = Window("0 18 * * *", timedelta(hours=1), BERLIN, "short")
    assert frozen("2026-11-20T17:30:00+00:00", short, WEEKEND) == "2026-11-23T07:00:00+00:00"


def test_without_windows_nothing_is_frozen() -> None:
    assert CronFreezes([]).frozen("fraud", datetime.now(UTC)) is None


@given(
    st.integers(1_700_000_000, 1_900_000_000).map(lambda at: datetime.fromtimestamp(at, UTC)),
    st.sampled_from(["0 18 * * FRI", "30 2 * * *", "*/5 * * * *", "0 0 29 2 *", "15 3 1 * *"]),
    st.sampled_from(["Europe/Berlin", "UTC", "Asia/Kathmandu", "America/St_Johns"]),
    st.integers(1, 5000).map(lambda minutes: timedelta(minutes=minutes)),
)
def test_a_moment_is_frozen_just_where_the_window_is_not_over(
    at: datetime, cron: str, zone: str, lasts: timedelta
) -> None:
    found = Window(cron, lasts, ZoneInfo(zone), "").covers(at)
    if found is not None:
        assert at < found.until <= at + lasts
        began = found.until - lasts
        assert began <= at
        assert Window(cron, lasts, ZoneInfo(zone), "").covers(began) is not None
