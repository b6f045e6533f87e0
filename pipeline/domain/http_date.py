"""The time that an HTTP answer says it was made (RFC 9110, Date)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def told_time(headers: Mapping[str, str]) -> datetime | None:
    """Read it, in UTC; ``None`` where the answer says none, or nothing that is one."""
    try:
        said = parsedate_to_datetime(headers.get("Date", ""))
    except ValueError:
        return None
    return said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)
