"""A promotion until it ends: each change as a line on stderr, on a terminal with a spinner."""

import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.output import plain
from pipeline.errors import ConfigurationError, UnavailableError

if TYPE_CHECKING:
    from pipeline.cli.client import Client

_EVERY = 0.5
_ENDED = {"succeeded", "failed", "errored", "aborted", "superseded"}


def follow(client: "Client", promotion: str) -> dict[str, Any]:
    """Wait for a promotion's end and return how it stands then.

    A server that goes away meanwhile is waited for: the promotion goes on without it, or with it.
    """
    told = ""
    with _spinner() as spin:
        while True:
            now, standing = _look(client, promotion)
            if standing != told:
                click.echo(standing, err=True)
                told = standing
                spin(standing)
            if now is not None and now["phase"] in _ENDED:
                return now
            time.sleep(_EVERY)


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
        parts.append(f"{look['percent']} %, {look['verdict']}")
    if promotion["waiting"]:
        parts.append(f"waiting for {promotion['waiting']['for']}")
    return plain(" · ".join(parts))


def _look(client: "Client", promotion: str) -> tuple[dict[str, Any] | None, str]:
    try:
        now: dict[str, Any] = client.read("promotions", promotion)
    except (ConfigurationError, UnavailableError):  # the former: nobody answers at the address
        return None, f"{client.server} does not answer; waiting for it"
    return now, standing_of(now)


def _spinner() -> AbstractContextManager[Callable[[str], None]]:
    if not sys.stderr.isatty():
        return nullcontext(lambda _standing: None)
    return _Spinner()


class _Spinner:
    """A line that moves while nothing changes."""

    def __enter__(self) -> Callable[[str], None]:
        from rich.console import Console
        from rich.status import Status
        from rich.text import Text

        self._status = Status("", console=Console(stderr=True))
        self._status.start()
        return lambda standing: self._status.update(Text(standing))

    def __exit__(self, *_error: object) -> None:
        self._status.stop()
