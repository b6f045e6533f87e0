"""The operator's token of a Laurel that nobody gave credentials: made once, in a 0600 file.

The command line with the same settings reads it. It opens the API on this machine's own address
alone (interfaces §3): whoever wants another address writes a token of their own into the file.
"""

import ipaddress
import secrets
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.cli.new_files import write_new
from pipeline.errors import ConfigurationError

_SELF_MADE = "laurel-local-"


def provide_token(path: Path, host: str) -> bool:
    """Make the token if there is none, and tell whether it was made.

    Raises
    ------
    ConfigurationError
        Where a token that Laurel made itself would be used beyond this machine.

    """
    made = not path.exists()
    if made:
        write_new(path, f"{_SELF_MADE}{secrets.token_urlsafe(32)}\n")
    if read_token(path).startswith(_SELF_MADE) and not _is_loopback(host):
        raise ConfigurationError(
            f"server.host {host} is reachable from elsewhere, and {path} holds the token that"
            " Laurel made for this machine: write a token of your own into it, or use 127.0.0.1"
        )
    return made


def read_token(path: Path) -> str:
    """Read the token.

    Raises
    ------
    ConfigurationError
        Where there is none: no server was ever started with these settings.

    """
    try:
        token = path.read_text("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigurationError(
            f"no token in {path} ({error.strerror}): start `laurel up`, or set LAUREL_TOKEN"
        ) from error
    if not token:
        raise ConfigurationError(f"{path} is empty: remove it, and `laurel up` makes a new token")
    return token


def read_token_for(server: str, path: Path, host: str) -> str:
    """Read the token to call ``server`` with; it is never sent to another machine than ``host``.

    Raises
    ------
    ConfigurationError
        Where there is none, or the settings' server is another one.

    """
    named = ""
    with suppress(ValueError):  # no URL at all: certainly not this server's
        named = urlsplit(server).hostname or ""
    if named != host.lower() and not _is_loopback(named):
        raise ConfigurationError(
            f"{path} holds the token of server.host {host}, not of {server[:200]}: "
            "set LAUREL_TOKEN to a token of that server"
        )
    return read_token(path)


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
