"""A secret's file replaced by a new secret, with the old one beside it for as long as it counts."""

import os
import secrets
from pathlib import Path

from pipeline.errors import ConfigurationError
from pipeline.settings.secrets import read_secret, replaced


def replace_secret(path: Path) -> str:
    """Make a new secret; the old one is beside it first, so that none is missing at any moment."""
    old = read_secret(path, "`laurel init` writes one")
    new = secrets.token_urlsafe(32)
    _write(replaced(path), old)
    _write(path, new.encode() + b"\n")
    return new


def restore_secret(path: Path) -> None:
    """Take the replaced secret back, where nobody has come to know the new one."""
    try:
        replaced(path).replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _write(path: Path, content: bytes) -> None:
    """Replace a file whole, its owner's alone: nobody who reads it meanwhile reads half of it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be replaced: {error.strerror}; where secrets come from elsewhere, name two "
        "files in webhook.secret_file, the new secret's first, then run this again"
    )
