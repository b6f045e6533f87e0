"""Secrets that Laurel makes itself: the first one, and one that replaces another.

A replaced secret stays beside the new one for as long as it counts.
"""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pipeline.errors import ConfigurationError
from pipeline.settings.secrets import read_secret, replaced


def made_once(path: Path) -> bytes:
    """Read a secret, and make it first where there is none.

    Of two who make it at the same moment both get the one that came first.
    """
    if not path.exists():
        try:
            _put(path, secrets.token_urlsafe(32).encode() + b"\n", _unless_there)
        except OSError as error:
            why = (
                f"{path} cannot be made: {error.strerror}; write a secret of 32 random bytes there"
            )
            raise ConfigurationError(why) from error
    return read_secret(path, "`laurel approve ID --link` makes one")


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
    """Replace a file whole."""
    try:
        _put(path, content, Path.replace)
    except OSError as error:
        raise _unwritable(path, error) from error


def _put(path: Path, content: bytes, put: Callable[[Path, Path], object]) -> None:
    """Put a file in its place, its owner's alone; who reads it meanwhile reads no half of it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        put(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _unless_there(draft: Path, path: Path) -> None:
    with suppress(FileExistsError):
        path.hardlink_to(draft)


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be replaced: {error.strerror}; where secrets come from elsewhere, name two "
        "files in webhook.secret_file, the new secret's first, then run this again"
    )
