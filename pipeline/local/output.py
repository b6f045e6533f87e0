"""What servers print: kept short, since untrusted code decides how much it is."""

import os
from pathlib import Path

_KEPT = 8 << 20
_SHOWN = 8192


def last_lines(output: Path, count: int = 20) -> str:
    """Read the last lines of a file, at most 8 KiB; nothing where there is no file."""
    try:
        with output.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _SHOWN))
            lines = file.read(_SHOWN).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-count:])


def trim(output: Path) -> None:
    """Empty a file that grew beyond 8 MiB; whoever appends to it goes on at its start."""
    if output.exists() and output.stat().st_size > _KEPT:
        os.truncate(output, 0)
