"""What serves and what was promoted: status, list. Both go over HTTP."""

import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import say
from pipeline.cli.output import show
from pipeline.cli.tables import (
    canary_table,
    promotion_table,
    promotions_table,
    service_table,
    services_table,
    steps_table,
)
from pipeline.domain.promotion import Phase

if TYPE_CHECKING:
    from pipeline.cli.client import Client


@click.command()
@click.argument("subject", metavar="[SERVICE|ID]", required=False)
@shared
def status(asked: Asked, subject: str | None) -> None:
    """Show what serves now, or all about a service or promotion."""
    with asked.client() as client:
        if subject is None:
            _show_services(client, asked)
        elif _is_id(subject):
            _show_promotion(client, asked, subject)
        else:
            _show_service(client, asked, subject)


@click.command("list")
@click.option("--service", help="Only this service's.")
@click.option("--phase", type=click.Choice([phase.value for phase in Phase]), help="Only these.")
@click.option("--limit", type=click.IntRange(1, 200), default=20, show_default=True)
@click.option("--cursor", help="Continue where an earlier page's `next` points.")
@shared
def list_promotions(
    asked: Asked, service: str | None, phase: str | None, limit: int, cursor: str | None
) -> None:
    """List promotions, newest first."""
    with asked.client() as client:
        page = client.read("promotions", service=service, phase=phase, limit=limit, cursor=cursor)
    show(page, promotions_table(page["items"]), as_json=asked.json)
    if page["next"] and not asked.json:
        say(f"there are older ones: --cursor {page['next']}")
    if not page["items"] and not asked.json:
        say("no such promotion yet: moving the alias in MLflow, or `laurel promote`, starts one")


def _show_services(client: "Client", asked: Asked) -> None:
    page = client.read("services")
    latest = {
        each["name"]: client.read("promotions", each["promotion"])
        for each in page["items"]
        if each["promotion"] and not asked.json
    }
    show(page, services_table(page["items"], latest), as_json=asked.json)


def _show_service(client: "Client", asked: Asked, name: str) -> None:
    service = client.read("services", name)
    show(service, service_table(service), as_json=asked.json)


def _show_promotion(client: "Client", asked: Asked, promotion: str) -> None:
    found = client.read("promotions", promotion)
    tables = (promotion_table(found), steps_table(found), canary_table(found))
    show(found, *tables, as_json=asked.json)


def _is_id(subject: str) -> bool:
    with suppress(ValueError):
        return str(uuid.UUID(subject)) == subject.lower()
    return False
