"""How long something is good for, as it is typed: ``90d``, ``12h``."""

from datetime import UTC, datetime, timedelta

import click


def lifetime_of(said: str, otherwise: str) -> timedelta:
    """Read a duration; ``otherwise`` is what a person is told who typed something else."""
    from pydantic import TypeAdapter

    from pipeline.settings.fields import Seconds

    try:
        lifetime = timedelta(seconds=TypeAdapter(Seconds).validate_python(said))
        datetime.now(UTC) + lifetime
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(otherwise) from error
    return lifetime
