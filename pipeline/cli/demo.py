"""``laurel demo``: the whole product on this machine, for real."""

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import Exit, leave


@click.command()
@click.option("--keep", is_flag=True, help="Leave everything up, and say where to click.")
@shared
def demo(asked: Asked, *, keep: bool) -> None:
    """Show it all on this machine: real MLflow, live traffic.

    A first deploy, a good canary to 100 %, a bad one that goes back by itself, a rollback.
    """
    from pipeline.demo import run

    leave(Exit(run(keep=keep, json=asked.json)))
