"""How a command ends: the one place that turns errors and phases into exit codes."""

import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, NoReturn

import click

from pipeline.errors import (
    ConfigurationError,
    ForbiddenError,
    InvalidReferenceError,
    LaurelError,
    NotFoundError,
)
from pipeline.logs import printable

_THE_CALLERS = (ConfigurationError, InvalidReferenceError, NotFoundError, ForbiddenError)
"""Errors that go away when something else is typed, configured or allowed."""
_CLICKS = (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError)
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class Exit(IntEnum):
    """A command's exit code (interfaces §2)."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    ERRORED = 3


class Laurel(click.Group):
    """The group of all verbs: lists them in the order of the guide, and never shows a traceback.

    ``LAUREL_DEBUG=1`` shows one, before the message.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the verbs in the order in which they were added."""
        del ctx
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run a verb and let every error end in one line and a code."""
        if os.environ.get("NO_COLOR"):  # https://no-color.org
            ctx.color = False
        try:
            return super().invoke(ctx)
        except _CLICKS:
            raise
        except KeyboardInterrupt:
            _end(ctx, "interrupted", _INTERRUPTED)
        except LaurelError as error:
            _end(ctx, str(error), Exit.USAGE if isinstance(error, _THE_CALLERS) else Exit.ERRORED)
        except Exception as error:  # noqa: BLE001 - whatever it was, a person reads one line
            what = f"{type(error).__name__}: {error}".rstrip(": ")
            _end(ctx, f"broke unexpectedly: {what}; LAUREL_DEBUG=1 shows where", Exit.ERRORED)


def refuse(reason: str) -> NoReturn:
    """End a verb that was answered with a "no"."""
    say(reason)
    leave(Exit.REFUSED)


def leave(code: Exit) -> NoReturn:
    """End a verb with this code; what it had to say is said."""
    raise click.exceptions.Exit(code)


def say(message: str) -> None:
    """Tell a person something that is not the result."""
    click.echo(f"laurel: {printable(message)}", err=True)


def leave_by_phases(promotions: Iterable[Mapping[str, Any]]) -> NoReturn:
    """End as badly as the worst of these promotions did."""
    leave(max((_BY_PHASE.get(each["phase"], Exit.REFUSED) for each in promotions), default=Exit(0)))


_BY_PHASE = {"succeeded": Exit.DONE, "errored": Exit.ERRORED}


def _end(ctx: click.Context, message: str, code: int) -> NoReturn:
    if os.environ.get("LAUREL_DEBUG"):
        traceback.print_exc(file=sys.stderr)
    say(message)
    ctx.exit(code)
