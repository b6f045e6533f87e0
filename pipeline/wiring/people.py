"""What promotions wait for before they get traffic: the freezes and rules of laurel.yaml."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from pipeline.adapters.cron_freezes import CronFreezes, Window
from pipeline.domain.admission import Rules
from pipeline.settings import Settings


def freezes(settings: Settings) -> CronFreezes:
    """Make the freeze windows."""
    return CronFreezes(
        [
            Window(
                each.cron,
                timedelta(seconds=each.duration),
                ZoneInfo(each.timezone),
                each.reason,
                frozenset(each.services),
            )
            for each in settings.freeze
        ]
    )


def rules(settings: Settings) -> Rules:
    """Write what holds for every service alike."""
    return Rules(timedelta(seconds=settings.approvals.expire), settings.limits.limits())
