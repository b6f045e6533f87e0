"""What a service served, when and why; exports, and whether the record is what it was."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import refuse, say
from pipeline.cli.history_tables import audit_table, moment_table, served_table
from pipeline.cli.output import show
from pipeline.errors import ConfigurationError, CorruptedError, InvalidReferenceError

if TYPE_CHECKING:
    from pipeline.cli.audit import Audit
    from pipeline.cli.client import Client
    from pipeline.domain.chain import Entry

_ACCEPT = {"jsonl": "application/x-ndjson", "csv": "text/csv"}
_ONLINE = ""  # what --verify is without a file
_PIECE = 1 << 16


@click.command()
@click.argument("service", required=False)
@click.option("--at", metavar="TIME", help="What served then: 2026-11-21T14:30, or +01:00.")
@click.option(
    "--verify",
    metavar="[FILE]",
    is_flag=False,
    flag_value=_ONLINE,
    help="Recompute the chain, here; with an export, without a server.",
)
@click.option("--format", "form", type=click.Choice(sorted(_ACCEPT)), help="Export every entry.")
@shared
def history(
    asked: Asked, service: str | None, at: str | None, verify: str | None, form: str | None
) -> None:
    """Show what a service served, when, why and on whose word.

    The record behind it is a chain of entries that cannot be changed unseen: --verify recomputes it
    and holds it against the signed deployment statements; --format exports it.
    """
    if sum(option is not None for option in (at, verify, form)) > 1:
        raise click.UsageError("--at, --verify and --format are asked for one at a time.")
    if verify:
        _verify_file(asked, Path(verify), service)
        return
    if service is None:
        raise click.UsageError("Name a service: `laurel status` lists them.")
    with asked.client() as client:
        if form is not None:
            _export(client, service, form)
        elif verify is not None:
            _verify(client, asked, service)
        else:
            _show(client, asked, service, at)


def _show(client: "Client", asked: Asked, service: str, at: str | None) -> None:
    when = None if at is None else _moment(at).isoformat()
    found = client.read("services", service, "history", at=when)
    if at is None:
        show(found, served_table(found["served"]), as_json=asked.json)
        if not found["served"] and not asked.json:
            say(f"nothing was ever promoted to {service}")
        return
    show(found, moment_table(found), as_json=asked.json)


def _export(client: "Client", service: str, form: str) -> None:
    for piece in client.stream("services", service, "history", accept=_ACCEPT[form]):
        click.echo(piece, nl=False)


def _verify(client: "Client", asked: Asked, service: str) -> None:
    from pipeline.cli.audit import Audit, compare, find_statements, read_on
    from pipeline.domain.export import read_entries

    def entries(after: int = 0) -> "Iterator[Entry]":
        accept = _ACCEPT["jsonl"]
        path = ("services", service, "history")
        return read_entries(client.stream(*path, accept=accept, after=after))

    audit = Audit(service)
    read_on(audit, entries())
    if not asked.config.exists():
        say("the signed deployment statements are not compared: no laurel.yaml tells of a registry")
    elif not audit.why:
        found = find_statements(audit, asked.settings(), _serving(client, service))
        read_on(audit, entries(after=audit.head.number))  # one may have been signed meanwhile
        compare(audit, found)
    _tell(audit, asked)


def _verify_file(asked: Asked, file: Path, service: str | None) -> None:
    from pipeline.cli.audit import Audit, read_on
    from pipeline.domain.export import read_entries

    entries = read_entries(_pieces(file))
    try:
        first = next(entries, None)
    except CorruptedError as error:
        refuse(f"{file} does not verify: {error}")
    if first is None:
        raise InvalidReferenceError(f"{file} has no entry: export a service's history into it")
    audit = Audit(service or first.service)
    read_on(audit, chain([first], entries))
    _tell(audit, asked)
    if not asked.json:
        say(
            "whether its end was cut off, only the signed deployment statements tell: compare the"
            f" head with `laurel history {audit.service} --verify`"
        )


def _pieces(file: Path) -> Iterator[bytes]:
    try:
        with file.open("rb") as opened:
            while piece := opened.read(_PIECE):
                yield piece
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be read: {error.strerror}; to verify a service's history write"
            " `laurel history SERVICE --verify`"
        ) from error


def _serving(client: "Client", service: str) -> list[str]:
    """Name the images that serve now, as the target says: the history may not know of them."""
    with suppress(InvalidReferenceError):  # no longer in laurel.yaml
        seen = client.read("services", service)
        return [each["image"] for each in (seen["stable"], seen["canary"]) if each]
    return []


def _tell(audit: "Audit", asked: Asked) -> None:
    show(audit.to_json(), audit_table(audit.to_json()), as_json=asked.json)
    if audit.why:
        refuse(f"the history of {audit.service} does not verify: {audit.why}")


def _moment(text: str) -> datetime:
    """Read a time; without an offset it is this machine's, as in every table."""
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise InvalidReferenceError(
            f"{text[:60]!r} is no time: write 2026-11-21T14:30, or 2026-11-21T14:30+01:00"
        ) from error
