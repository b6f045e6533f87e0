"""A result on stdout: JSON for programs, a table for people.

Colour is for terminals alone: click leaves it out elsewhere.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import click

from pipeline.logs import printable

_COLOURS = {
    "succeeded": "green",
    "pass": "green",
    "running": "cyan",
    "pending": "cyan",
    "failed": "red",
    "fail": "red",
    "errored": "red",
    "aborted": "yellow",
    "superseded": "yellow",
    "hold": "yellow",
    "ok": "green",
    "warn": "yellow",
    "bad": "red",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of texts under their columns' names; ``None`` is shown as a dash."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[object]]


def show(result: object, *tables: Table, as_json: bool) -> None:
    """Print a result: itself for programs, tables for people, further ones where they have rows."""
    if as_json:
        print_json(result)
        return
    first, *others = tables
    print_table(first)
    for table in others:
        if table.rows:
            click.echo()
            print_table(table)


def print_json(value: object) -> None:
    """Print a result for programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(table: Table) -> None:
    """Print rows in columns as wide as their widest text, for people and for their ``grep``."""
    heading = [column.upper() for column in table.columns]
    rows = [heading, *([plain(cell) for cell in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [_coloured(cell, width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


def plain(cell: object) -> str:
    """Write one cell: one line, and no control characters, which a terminal would obey."""
    return printable("-" if cell is None or cell == "" else str(cell))


def _coloured(cell: str, width: int) -> str:
    shown = click.style(cell, fg=_COLOURS[cell]) if cell in _COLOURS else cell
    return shown + " " * (width - len(cell))
