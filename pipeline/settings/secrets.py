"""Secrets as settings name them: read when they are used, so that a changed file is seen."""

import time
from collections.abc import Callable
from pathlib import Path

from pydantic import SecretStr

from pipeline.errors import ConfigurationError
from pipeline.settings.sections import SigningSettings, WebhookSettings

GRACE = 600.0
"""Seconds for which a secret counts that `laurel webhook rotate` replaced: MLflow remembers it for
a minute, unless told otherwise, and sends again what did not arrive for two more."""
_LARGEST = 4096  # bytes


def read_secret(path: Path, made_by: str) -> bytes:
    """Read a secret's file, without the newline that editors leave at its end."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1).rstrip(b"\r\n")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}; {made_by}") from error
    if not 0 < len(content) <= _LARGEST:
        raise ConfigurationError(f"{path} must hold a secret of 1 to {_LARGEST} bytes")
    return content


def revealed(secret: SecretStr | None) -> str:
    """Return what a secret hides; none: ``""``."""
    return "" if secret is None else secret.get_secret_value()


def key_password(signing: SigningSettings) -> str:
    """Read the password of the signing key."""
    if signing.password is not None:
        return signing.password.get_secret_value()
    if signing.password_file is None:
        raise ConfigurationError("signing: set LAUREL_SIGNING__PASSWORD or signing.password_file")
    return read_secret(signing.password_file, "`laurel init` writes one").decode()


def replaced(path: Path) -> Path:
    """Name the file of the secret that this one replaced."""
    return path.with_name(f"{path.name}.old")


def webhook_secrets(
    webhook: WebhookSettings, clock: Callable[[], float] = time.time
) -> list[bytes]:
    """Read every secret that deliveries may be signed with; the one for MLflow comes first."""
    first, *others = webhook.secret_files
    made_by = "`laurel init` writes one"
    secrets = [read_secret(path, made_by) for path in (first, *others)]
    old = replaced(first)
    try:
        young = abs(clock() - old.stat().st_mtime) < GRACE
    except OSError:
        young = False
    return [*secrets, read_secret(old, made_by)] if young else secrets
