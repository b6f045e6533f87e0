"""A person's agreement to an image: ``laurel approve``, and links by which others give theirs.

All by HTTP but a link for somebody else: as with tokens, only who may open the ledger makes it.
"""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import refuse, say
from pipeline.cli.lifetimes import lifetime_of
from pipeline.cli.output import Table, print_json, show
from pipeline.cli.tables import when
from pipeline.domain.access import require_token_name
from pipeline.domain.evidence import Refused


def _lifetime(_ctx: click.Context, _parameter: click.Parameter, said: str) -> timedelta:
    lifetime = lifetime_of(said, "write a duration such as 1d or 2h")
    if lifetime < timedelta(minutes=1):
        raise click.BadParameter("a link is good for a minute at least")
    return lifetime


@click.command()
@click.argument("promotion", metavar="ID")
@click.option("--image", metavar="sha256:…", help="Only if this is its image; default: any.")
@click.option("--comment", default="", help="One sentence for those who read the history.")
@click.option("--link", is_flag=True, help="Approve nothing; print a link to do it by, once.")
@click.option("--for", "person", metavar="NAME", help="Whose link; who opens the ledger may.")
@click.option(
    "--expires",
    "lifetime",
    metavar="DURATION",
    default="1d",
    show_default=True,
    callback=_lifetime,
    help="How long the link is good for.",
)
@shared
def approve(
    asked: Asked,
    promotion: str,
    image: str | None,
    comment: str,
    *,
    link: bool,
    person: str | None,
    lifetime: timedelta,
) -> None:
    """Agree to the image of a promotion, with an approver's token.

    Who asked for the promotion cannot; twice by one person is once. --link prints an address that
    works once, in any browser: for yourself, or, where the ledger is, --for somebody without token.
    """
    if person and not link:
        raise click.UsageError("--for goes with --link: nobody agrees for somebody else.")
    if link and (image or comment):
        raise click.UsageError("A link is for the image as it is now; comments are typed there.")
    if not link:
        _approve(asked, promotion, image, comment)
    elif person:
        _show_link(asked, _made_here(asked, promotion, require_token_name(person), lifetime))
    else:
        _show_link(asked, _asked_for(asked, promotion, lifetime))


def _approve(asked: Asked, promotion: str, image: str | None, comment: str) -> None:
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


def _asked_for(asked: Asked, promotion: str, lifetime: timedelta) -> dict[str, Any]:
    body = {"seconds": int(lifetime.total_seconds())}
    with asked.client() as client:
        made: dict[str, Any] | Refused = client.change(
            "POST", "promotions", promotion, "links", body=body
        )
    if isinstance(made, Refused):
        refuse(made.reason)
    return made


def _made_here(asked: Asked, promotion: str, person: str, lifetime: timedelta) -> dict[str, Any]:
    """Make a link with the ledger's file and the secret's, as who owns both."""
    from pipeline import wiring
    from pipeline.domain.approval_link import new_link

    settings = asked.settings()
    links = wiring.links(settings)
    key, now = links.made_key(), datetime.now(UTC)
    lasts = min(lifetime, timedelta(seconds=settings.approvals.expire))
    until = (now + lasts).replace(microsecond=0)
    with closing(wiring.open_ledger(settings)) as ledger:
        image = ledger.admissions.invite(promotion, actor=person, by=None, at=now, until=until)
    if isinstance(image, Refused):
        refuse(image.reason)
    link = new_link(promotion, image, person, until=until)
    return {"url": links.address(link, key), "actor": person, "until": until.isoformat()}


def _show_link(asked: Asked, made: dict[str, Any]) -> None:
    if asked.json:
        print_json(made)
    else:
        click.echo(made["url"])
        say(f"it works once, until {when(made['until'])}, and is {made['actor']}'s word")
