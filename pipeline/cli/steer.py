"""A person's word about a promotion that runs: pause, resume, complete. All by HTTP."""

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import refuse
from pipeline.cli.output import show
from pipeline.cli.tables import promotions_table
from pipeline.domain.evidence import Refused

_reason = click.option("--reason", default="", help="One sentence for those who read the history.")


@click.command()
@click.argument("promotion", metavar="ID")
@_reason
@shared
def pause(asked: Asked, promotion: str, reason: str) -> None:
    """Keep a promotion from getting more traffic.

    Its canary stays at its percent, is judged, and may go back.
    """
    _steer(asked, promotion, "pause", reason)


@click.command()
@click.argument("promotion", metavar="ID")
@_reason
@shared
def resume(asked: Asked, promotion: str, reason: str) -> None:
    """Let a paused promotion go on."""
    _steer(asked, promotion, "resume", reason)


@click.command()
@click.argument("promotion", metavar="ID")
@_reason
@shared
def complete(asked: Asked, promotion: str, reason: str) -> None:
    """End a canary well now, on your own word."""
    _steer(asked, promotion, "complete", reason)


def _steer(asked: Asked, promotion: str, verb: str, reason: str) -> None:
    with asked.client() as client:
        now = client.change("POST", "promotions", promotion, verb, body={"reason": reason})
    if isinstance(now, Refused):
        refuse(now.reason)
    show(now, promotions_table([now]), as_json=asked.json)
