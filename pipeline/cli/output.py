"""A result on stdout: JSON for programs, a table for people; colour only on a terminal."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

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
    """Print a result for people, or for their ``grep`` where stdout is no terminal."""
    rows = [[plain(cell) for cell in row] for row in table.rows]
    if sys.stdout.isatty():
        _print_rich(table.columns, rows)
    else:
        click.echo(aligned([[column.upper() for column in table.columns], *rows]))


def plain(cell: object) -> str:
    """Write one cell: one line, and no control characters, which a terminal would obey."""
    text = "-" if cell is None or cell == "" else str(cell)
    return "".join(letter if letter.isprintable() else " " for letter in text)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Write rows in columns as wide as their widest text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    shown = RichTable(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column.upper(), overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell, style=_COLOURS.get(cell, "")) for cell in row))
    Console().print(shown)
