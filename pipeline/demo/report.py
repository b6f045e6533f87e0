"""The end of the demo on stdout: the table and the claims, for people or as JSON."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from pipeline.demo.claims import Claim
from pipeline.demo.observed import Chapter, Observed
from pipeline.domain.references import ImageRef

_WIDTH = 120
_NUMBERS = ("seconds", "requests", "failed requests")


def rows(observed: Observed) -> list[dict[str, Any]]:
    """Write one row per chapter: what an auditor would ask for."""
    return [_row(chapter, observed) for chapter in observed.chapters]


def print_json(observed: Observed, claims: Sequence[Claim]) -> None:
    """Print everything for programs."""
    said = [{"claim": c.text, "holds": c.holds, "seen": c.seen} for c in claims]
    sys.stdout.write(json.dumps({"chapters": rows(observed), "claims": said}, indent=2) + "\n")


def print_table(observed: Observed, claims: Sequence[Claim]) -> None:
    """Print everything for people."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, row in enumerate(rows(observed)):
        if not number:
            for column in row:
                table.add_column(
                    column, justify="right" if column in _NUMBERS else "left", no_wrap=True
                )
        table.add_row(*(_short(name, cell) for name, cell in row.items()))
    console.print(table)
    console.print()
    for claim in claims:
        mark, colour = ("✓", "green") if claim.holds else ("✗", "red")
        console.print(f"[{colour}]{mark}[/] {claim.text}:", claim.seen, soft_wrap=True)


def _row(chapter: Chapter, observed: Observed) -> dict[str, Any]:
    image = chapter.image
    return {
        "version": chapter.version,
        "what": chapter.title,
        "digest": ImageRef.parse(image).digest.value if image else None,
        "signature": "verified" if image and observed.verified.get(image) else "not verified",
        "traffic": _traffic(chapter),
        "verdict": _verdict(chapter),
        "seconds": chapter.seconds,
        "requests": chapter.during.requests,
        "failed requests": chapter.during.failed,
    }


def _traffic(chapter: Chapter) -> str:
    end = 100 if chapter.promotion["phase"] == "succeeded" else 0
    return " > ".join(str(percent) for percent in [*chapter.percents, end]) + " %"


def _verdict(chapter: Chapter) -> str:
    verdicts = [look["verdict"] for look in chapter.promotion["canary"]]
    return verdicts[-1] if verdicts else "no canary"


def _short(column: str, cell: object) -> str:
    """Shorten a digest for people's eyes; the whole one is in the JSON."""
    return str(cell).removeprefix("sha256:")[:12] if column == "digest" else str(cell)
