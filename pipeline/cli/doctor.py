"""``laurel doctor``: what would stop a promotion, and what to do about it."""

from typing import TYPE_CHECKING

import click

from pipeline.cli.asked import Asked, shared
from pipeline.cli.exits import Exit, leave, say
from pipeline.cli.output import Table, show

if TYPE_CHECKING:
    from pipeline.doctor.finding import Finding


@click.command()
@click.option("--all", "all_", is_flag=True, help="Show what is as it should be, too.")
@shared
def doctor(asked: Asked, *, all_: bool) -> None:
    """Look for what would stop a promotion, and say the fix.

    Exit code 1 where something would. A probe of a few bytes is put into the registry and removed;
    where MLflow has no webhook to this Laurel, one that never fires is made, tried and removed.
    """
    from pipeline import wiring
    from pipeline.doctor.looks import looked

    findings = list(looked(wiring.build_looks(asked.settings())))
    amiss = [each for each in findings if each.level != "ok"]
    bad = [each for each in amiss if each.level == "bad"]
    rows = [row for each in (findings if all_ else amiss) for row in _rows(each)]
    if rows or asked.json:
        result = {"healthy": not bad, "items": [_json(each) for each in findings]}
        show(result, Table(("check", "is", "what"), rows), as_json=asked.json)
    say(f"{len(findings)} findings: {len(bad)} bad, {len(amiss) - len(bad)} to be warned of")
    if bad:
        leave(Exit.REFUSED)


def _rows(finding: "Finding") -> list[tuple[str, str, str]]:
    """Write a finding, and below it what to do: side by side no terminal would be wide enough."""
    rows = [(finding.check, finding.level.value, finding.what)]
    return [*rows, (" ", "fix", finding.fix)] if finding.fix else rows


def _json(finding: "Finding") -> dict[str, str]:
    return {
        "check": finding.check,
        "level": finding.level.value,
        "what": finding.what,
        "fix": finding.fix,
    }
