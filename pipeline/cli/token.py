"""``laurel token``: who may call beside the operator. It writes the ledger itself, never by HTTP.

Whoever may open the ledger owns its tokens; a token alone can make no other.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import say
from pipeline.cli.lifetimes import lifetime_of
from pipeline.cli.output import Table, print_json, show
from pipeline.domain.access import Grant, Role, in_order, require_token_name
from pipeline.errors import InvalidReferenceError

if TYPE_CHECKING:
    from pipeline.ledger import IssuedToken, Ledger
    from pipeline.settings import Settings

_NEVER = "never"
_ROLES = [role.value for role in Role]


def _lifetime(_ctx: click.Context, _parameter: click.Parameter, said: str) -> timedelta | None:
    return (
        None
        if said == _NEVER
        else lifetime_of(said, "write a duration such as 90d or 12h, or never")
    )


@click.group()
def token() -> None:
    """Make, list and revoke tokens for people and programs."""


@token.command()
@click.argument("name")
@click.option(
    "--role",
    "roles",
    type=click.Choice(_ROLES),
    multiple=True,
    required=True,
    help="What its bearer may do; may stand more than once.",
)
@click.option(
    "--expires",
    "lifetime",
    metavar="DURATION",
    default="90d",
    show_default=True,
    callback=_lifetime,
    help="How long it is good for: 90d, 12h, or never.",
)
@click.option(
    "--service", "services", multiple=True, help="Only this service; may stand more than once."
)
@shared
def create(
    asked: Asked,
    name: str,
    roles: tuple[str, ...],
    lifetime: timedelta | None,
    services: tuple[str, ...],
) -> None:
    """Make a token and print it, once: Laurel keeps no more than its SHA-256.

    NAME is whom the record names for what is done with it. Set it as LAUREL_TOKEN.
    """
    from pipeline.ledger import new_token

    require_token_name(name)
    settings = asked.settings()
    _require_known(services, settings)
    grant = Grant(frozenset(map(Role, roles)), frozenset(services) or None)
    now = datetime.now(UTC)
    text, made = new_token(name, grant, now, None if lifetime is None else now + lifetime)
    with _ledger(settings) as ledger:
        ledger.tokens.add(made)
    if asked.json:
        print_json(_json(made, now) | {"token": text})
    else:
        click.echo(text)
        until = "for ever" if made.expires_at is None else f"until {made.expires_at:%Y-%m-%d}"
        say(f"token {name} is good {until} and is shown this once")


@token.command("list")
@shared
def list_tokens(asked: Asked) -> None:
    """List every token that there ever was, oldest first; their texts are nowhere."""
    now = datetime.now(UTC)
    with _ledger(asked.settings()) as ledger:
        tokens = [_json(each, now) for each in ledger.tokens.list()]
    rows = [
        (
            each["name"],
            each["state"],
            ", ".join(each["roles"]),
            "all" if each["services"] is None else ", ".join(each["services"]),
            each["created_at"][:10],
            each["expires_at"] and each["expires_at"][:10],
        )
        for each in tokens
    ]
    table = Table(("name", "state", "roles", "services", "created", "expires"), rows)
    show({"items": tokens}, table, as_json=asked.json)


@token.command()
@click.argument("name")
@shared
def revoke(asked: Asked, name: str) -> None:
    """End a token at once; servers that run need no restart."""
    now = datetime.now(UTC)
    with _ledger(asked.settings()) as ledger:
        ended = ledger.tokens.revoke(name, now)
    if asked.json:
        print_json({"name": ended.name, "revoked": True})
    else:
        click.echo(f"token {ended.name} is revoked")


def _require_known(services: tuple[str, ...], settings: "Settings") -> None:
    known = {service.name for service in settings.services}
    for name in services:
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise InvalidReferenceError(
                f"there is no service {name[:63]!r}; laurel.yaml has {there}"
            )


@contextmanager
def _ledger(settings: "Settings") -> "Iterator[Ledger]":
    from pipeline import wiring

    with closing(wiring.open_ledger(settings)) as ledger:
        yield ledger


def _json(token: "IssuedToken", now: datetime) -> dict[str, Any]:
    services = token.grant.services
    return {
        "name": token.name,
        "state": token.state(now),
        "roles": [role.value for role in in_order(token.grant.roles)],
        "services": None if services is None else sorted(services),
        "created_at": token.created_at.isoformat(),
        "expires_at": token.expires_at and token.expires_at.isoformat(),
    }
