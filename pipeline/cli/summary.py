"""How it went, as Markdown: what a job of GitHub Actions shows on its page."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.cli.output import Table, plain
from pipeline.cli.tables import canary_table, promotion_table, steps_table
from pipeline.errors import ConfigurationError

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~&@-])")
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;"}


def tell_promotions(file: Path, promotions: Iterable[Mapping[str, Any]]) -> None:
    """Add promotions to a summary, each with its steps and its canary."""
    for promotion in promotions:
        tables = (promotion_table(promotion), steps_table(promotion), canary_table(promotion))
        heading = f"{promotion['service']}: {promotion['kind']} {promotion['phase']}"
        shown = [markdown(table) for table in tables if table.rows]
        _add(file, [f"### {_text(heading)}", *shown])


def tell_refusal(file: Path, reason: str) -> None:
    """Add to a summary why nothing was begun."""
    _add(file, ["### refused", _text(reason)])


def markdown(table: Table) -> str:
    """Write a table; what others wrote, such as a reason, stays text."""
    rows = [table.columns, ["---"] * len(table.columns)]
    cells = [" | ".join(rows[0]), " | ".join(rows[1])]
    cells += [" | ".join(map(_text, row)) for row in table.rows]
    return "\n".join(f"| {line} |" for line in cells)


def _text(cell: object) -> str:
    return _MARKUP.sub(lambda found: _ENTITIES.get(found[1], f"\\{found[1]}"), plain(cell))


def _add(file: Path, paragraphs: Iterable[str]) -> None:
    try:
        with file.open("a", encoding="utf-8") as opened:
            opened.write("".join(f"{each}\n\n" for each in paragraphs))
    except OSError as error:
        raise ConfigurationError(f"{file}: {error.strerror}; name another --summary") from error
