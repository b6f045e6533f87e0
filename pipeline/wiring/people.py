"""What promotions wait for before they get traffic: freezes, rules, and links to approve by."""

from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pipeline.adapters.cron_freezes import CronFreezes, Window
from pipeline.domain.admission import Rules
from pipeline.settings import Settings
from pipeline.settings.rotation import made_once
from pipeline.settings.secrets import read_secret
from pipeline.wiring.mlflow import reached

if TYPE_CHECKING:
    from webhook_service.config import Links

_PURPOSE = b"laurel approval links v1"


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


def links(settings: Settings) -> "Links":
    """Say how links to approve by are written and read."""
    from webhook_service.config import Links  # noqa: PLC0415 - a worker needs no web framework

    file = settings.approvals.secret_file

    def key() -> bytes | None:
        return _derived(read_secret(file, "write a secret there")) if file.exists() else None

    return Links(reached(settings.server), key, lambda: _derived(made_once(file)))


def _derived(secret: bytes) -> bytes:
    """Make the key of this one purpose of a secret that a person may have written."""
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - where links are
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: PLC0415 - where links are

    return HKDF(SHA256(), length=32, salt=None, info=_PURPOSE).derive(secret)
