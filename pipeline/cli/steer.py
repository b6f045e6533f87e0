"""A person's word about a promotion that runs: approve, pause, resume, complete. All by HTTP."""

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import refuse, say
from pipeline.cli.output import Table, show
from pipeline.cli.tables import promotions_table, when
from pipeline.domain.evidence import Refused

_reason = click.option("--reason", default="", help="One sentence for those who read the history.")


@click.command()
@click.argument("promotion", metavar="ID")
@click.option("--image", metavar="sha256:…", help="Only if this is its image; default: any.")
@click.option("--comment", default="", help="One sentence for those who read the history.")
@shared
def approve(asked: Asked, promotion: str, image: str | None, comment: str) -> None:
    """Agree to the image of a promotion, with an approver's token.

    Who asked for the promotion cannot; twice by one person is once.
    """
    body = {"comment": comment} | ({} if image is None else {"image": image})
    with asked.client() as client:
        now = client.change("POST", "promotions", promotion, "approve", body=body)
    if isinstance(now, Refused):
        refuse(now.reason)
    rows = [
        (each["actor"], when(each["at"]), "yes" if each["counts"] else None, each["comment"])
        for each in now["items"]
    ]
    show(now, Table(("approver", "at", "counts", "comment"), rows), as_json=asked.json)
    say(f"{now['standing']} of {now['needed']} agree to {now['image']}")


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
