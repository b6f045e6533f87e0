"""Try the channels by which people are told, without waiting for something to happen."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import Exit, leave
from pipeline.cli.output import Table, show
from pipeline.errors import ConfigurationError, LaurelError

if TYPE_CHECKING:
    from pipeline.domain.notice import Notice
    from pipeline.notify.notifier import Channel


@click.command()
@click.argument("channel", nargs=-1)
@shared
def notify(asked: Asked, channel: tuple[str, ...]) -> None:
    """Send a trial through CHANNEL, or through every one.

    No server is needed. Exit code 3 where one did not take it.
    """
    from pipeline import wiring
    from pipeline.notify.text import trial

    settings = asked.settings()
    chosen = _named(wiring.build_channels(settings), channel)
    notice = trial(datetime.now(UTC), wiring.reached(settings.server))
    tried = {each.name: _why_not(each, notice) for each in chosen}
    result = [{"channel": name, "delivered": not why, "why": why} for name, why in tried.items()]
    rows = [(name, why or "delivered") for name, why in tried.items()]
    show(result, Table(("channel", "result"), rows), as_json=asked.json)
    if any(tried.values()):
        leave(Exit.ERRORED)


def _named(found: "Sequence[Channel]", names: tuple[str, ...]) -> "Sequence[Channel]":
    known = {each.name: each for each in found}
    for name in names:
        if name not in known:
            told = ", ".join(known) or "none"
            raise ConfigurationError(f"notifications has no channel {name[:63]!r}: it has {told}")
    return [known[name] for name in names] or found


def _why_not(channel: "Channel", notice: "Notice") -> str:
    try:
        channel.sender.send(notice)
    except LaurelError as error:
        return str(error)
    return ""
