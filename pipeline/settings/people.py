"""What promotions wait for before they get traffic: people, freezes, places."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from pipeline.domain.admission import Limits
from pipeline.settings.fields import LocalPath, Seconds, Section

_FIELDS = 5


def _cron(text: str) -> str:
    from croniter import croniter  # noqa: PLC0415 - where nothing is frozen

    if len(text.split()) != _FIELDS or not croniter.is_valid(text):
        raise ValueError(f"{text!r} is no cron: write minute hour day month weekday, 0 18 * * FRI")
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError) as error:  # what is not there is a KeyError, too
        raise ValueError(f"{name!r} is no time zone: write one such as Europe/Berlin") from error
    except KeyError as error:
        raise ValueError(f"there is no time zone {name!r}: write Europe/Berlin") from error
    return name


class ApprovalSettings(Section):
    """What an approval is worth."""

    expire: Annotated[Seconds, Field(le=timedelta(days=366).total_seconds())] = 604800.0
    """How long an approval counts; a promotion that lacks one for so long is refused."""
    secret_file: LocalPath = Path("approvals.secret")
    """File with the secret that single-use links are sealed with; made with the first link, 0600.
    Without it no link of before is good any more."""


class FreezeSettings(Section):
    """A window in which no canary begins and none is raised; rollbacks and aborts always may be."""

    cron: Annotated[str, AfterValidator(_cron)]
    """When it begins: minute, hour, day, month, weekday."""
    duration: Annotated[Seconds, Field(le=timedelta(days=366).total_seconds())]
    """How long it lasts."""
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """Where the clock hangs: `Europe/Berlin`."""
    reason: str = "a freeze"
    """What those who wait are told."""
    services: tuple[str, ...] = ()
    """Which services; default: all."""


class LimitSettings(Section):
    """How many canaries may run at once; who comes first goes first."""

    canaries: Annotated[int, Field(ge=1)] | None = None
    """Of all services; default: any number."""
    per_namespace: Annotated[int, Field(ge=1)] | None = None
    """Of the services of one namespace."""

    def limits(self) -> Limits:
        """Write them as a value."""
        return Limits(self.canaries, self.per_namespace)
