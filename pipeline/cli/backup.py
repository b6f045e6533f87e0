"""``laurel backup``, ``laurel restore``: a ledger copied while it is written, and put back."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import say
from pipeline.cli.output import Table, show

if TYPE_CHECKING:
    from pipeline.ledger.backup import Copied

_File = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=_File)
@shared
def backup(asked: Asked, file: Path) -> None:
    """Copy the ledger into a new FILE, while servers write to it.

    Its histories are verified, and their heads are printed: kept elsewhere, they prove later what
    was there.
    """
    from pipeline.ledger.backup import back_up
    from pipeline.ledger.database import file_of

    ledger = file_of(asked.settings().ledger)
    _show(asked, back_up(ledger, file))
    say(f"{ledger} is copied into {file}")


@click.command()
@click.argument("file", type=_File)
@click.option("--older", is_flag=True, help="Also over a ledger that knows more than FILE.")
@shared
def restore(asked: Asked, file: Path, *, older: bool) -> None:
    """Put the ledger back as it was in FILE. Nothing of Laurel may run on it.

    What serves is left alone. Tokens that were revoked since are good again.
    """
    from pipeline.ledger.backup import restore as put_back
    from pipeline.ledger.database import file_of

    settings = asked.settings()
    ledger = file_of(settings.ledger)
    _show(asked, put_back(file, ledger, older=older))
    for left in ("", "-wal", "-shm"):  # the engine's: of attempts that the ledger does not know
        Path(f"{settings.worker.engine}{left}").unlink(missing_ok=True)
    say(
        f"{ledger} is as it was in {file}; look at laurel token list: what was revoked since is not"
    )


def _show(asked: Asked, copied: "Copied") -> None:
    items = [
        {"service": service, "entries": head.number, "head": head.hash}
        for service, head in copied.heads.items()
    ]
    rows = [(each["service"], each["entries"], each["head"]) for each in items]
    result = {"promotions": copied.promotions, "items": items}
    show(result, Table(("service", "entries", "head"), rows), as_json=asked.json)
