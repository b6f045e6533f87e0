"""What the options of every verb were set to, and what is found by them."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click

from pipeline.errors import ConfigurationError

if TYPE_CHECKING:
    from pipeline.cli.client import Client
    from pipeline.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

_CONFIG, _SERVER, _JSON = (f"laurel.{option}" for option in ("config", "server", "json"))
_DEFAULT = Path("laurel.yaml")


@dataclass(frozen=True, slots=True)
class Asked:
    """The options that every verb has."""

    config: Path
    server: str | None
    json: bool

    def settings(self) -> "Settings":
        """Read laurel.yaml and the environment."""
        from pipeline.settings.load import load_settings

        return load_settings(self.config, os.environ)

    def client(self) -> "Client":
        """Find the server and the token to call it with.

        Raises
        ------
        ConfigurationError
            Where neither options, environment nor laurel.yaml tell them.

        """
        from pipeline.cli.again import Again
        from pipeline.cli.client import Client
        from pipeline.cli.exits import say
        from pipeline.cli.job_token import job_token
        from pipeline.cli.token_file import read_token_for

        server, token, again = self.server, os.environ.get("LAUREL_TOKEN"), Again(say)
        if server and token:
            return Client(server, token, again)
        if server and (job := job_token(os.environ, server)):
            return Client(server, job, again)
        settings = self.settings()
        at = settings.server
        server = server or url_of(at.host, at.port)
        token = token or read_token_for(server, at.token_file, at.host)
        return Client(server, token, again)


def shared(verb: Callable[Concatenate[Asked, P], R]) -> Callable[P, R]:
    """Give a verb the options that every verb has; they come as its first argument."""

    @functools.wraps(verb)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        said = click.get_current_context().meta
        asked = Asked(said.get(_CONFIG) or _found(), said.get(_SERVER), said.get(_JSON, False))
        return verb(asked, *args, **kwargs)

    config = click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        expose_value=False,
        callback=_remember(_CONFIG),
        help="Settings; default ./laurel.yaml, else $LAUREL_CONFIG.",
    )
    server = click.option(
        "--server",
        metavar="URL",
        envvar="LAUREL_SERVER",
        expose_value=False,
        callback=_remember(_SERVER),
        help="Laurel's server; default $LAUREL_SERVER, else the host and port of the settings.",
    )
    as_json = click.option(
        "--json",
        is_flag=True,
        expose_value=False,
        callback=_remember(_JSON),
        help="Print the result as JSON.",
    )
    return config(server(as_json(called)))


def _remember(key: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(ctx: click.Context, _parameter: click.Parameter, value: object) -> None:
        ctx.meta[key] = value

    return callback


def _found() -> Path:
    elsewhere = os.environ.get("LAUREL_CONFIG")
    return Path(elsewhere) if elsewhere and not _DEFAULT.exists() else _DEFAULT


def url_of(host: str, port: int) -> str:
    """Write where a server that listens there is called from this machine."""
    if not port:
        raise ConfigurationError("server.port is 0, so any port may be meant: name it by --server")
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"
