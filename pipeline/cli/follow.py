"""A promotion until it ends: each change as a line on stderr, on a terminal with a spinner."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.exits import say
from pipeline.cli.output import plain
from pipeline.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from pipeline.cli.client import Client

_EVERY = 0.5
_ENDED = {"succeeded", "failed", "errored", "aborted", "superseded"}


def follow(client: "Client", promotion: str) -> dict[str, Any]:
    """Wait for a promotion's end and return how it stands then.

    A server that goes away meanwhile is waited for: the promotion goes on without it, or with it.
    An interrupt ends the waiting alone, and says so.
    """
    try:
        with _teller() as tell:
            return _until_ended(client, promotion, tell)
    except KeyboardInterrupt:
        say(f"the promotion goes on: `laurel status {promotion}` tells, `laurel abort` stops it")
        raise


def standing_of(promotion: Mapping[str, Any]) -> str:
    """Say in one line where a promotion stands: phase, step, traffic, what it waits for."""
    who = f"{promotion['service']} {promotion['kind']}"
    phase, reason = promotion["phase"], promotion["reason"]
    if phase in _ENDED:
        return plain(f"{who} {phase}" + (f": {reason}" if reason else ""))
    doing = [step["name"] for step in promotion["steps"] if step["phase"] == "running"]
    parts = [f"{who} {phase}", *doing[-1:]]
    if promotion["canary"] and doing[-1:] == ["canary"]:
        look = promotion["canary"][-1]
        parts.append(f"{look['percent']} %")
    if promotion["waiting"]:
        parts.append(f"waiting for {promotion['waiting']['for']}")
    return plain(" · ".join(parts))


def _until_ended(client: "Client", promotion: str, tell: Callable[[str], None]) -> dict[str, Any]:
    told = ""
    while True:
        now, standing = _look(client, promotion)
        if standing != told:
            tell(standing)
            told = standing
        if now is not None and now["phase"] in _ENDED:
            return now
        time.sleep(_EVERY)


def _look(client: "Client", promotion: str) -> tuple[dict[str, Any] | None, str]:
    try:
        now: dict[str, Any] = client.read("promotions", promotion)
    except (ConfigurationError, UnavailableError):  # the former: nobody answers at the address
        return None, f"{client.server} does not answer; waiting for it"
    return now, standing_of(now)


@contextmanager
def _teller() -> Iterator[Callable[[str], None]]:
    """Lend what tells changes; on a terminal something moves below them."""
    if not sys.stderr.isatty():
        yield lambda standing: click.echo(standing, err=True)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    with console.status("Ctrl-C ends the waiting, not the promotion"):
        yield lambda standing: console.print(Text(standing))
