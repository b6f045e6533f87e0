"""What Laurel does, reads and stands on: steps, schema, migrate."""

from contextlib import closing

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.output import Table, print_json, show


@click.command()
@shared
def steps(asked: Asked) -> None:
    """Print the steps of a promotion, in their order."""
    from pipeline.promote import STEPS

    result = [{"step": name, "does": does} for name, does in STEPS]
    show(result, Table(("step", "does"), STEPS), as_json=asked.json)


@click.command()
@shared
def schema(asked: Asked) -> None:
    """Print the JSON Schema of laurel.yaml, for editors."""
    from pipeline.settings.schema import settings_schema

    del asked  # JSON it is in any case, and no settings are needed
    print_json(settings_schema())


@click.command()
@shared
def migrate(asked: Asked) -> None:
    """Bring the ledger to the newest schema, as `laurel up` does."""
    from pipeline import wiring

    settings = asked.settings()
    with closing(wiring.open_ledger(settings)) as ledger:
        current = ledger.current()
    if asked.json:
        print_json({"ledger": settings.ledger, "current": current})
    else:
        click.echo(f"{settings.ledger} has the newest schema")
