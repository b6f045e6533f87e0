"""Which packages an image would have that the serving one has not, and the other way round."""

import re
from collections.abc import Iterable

_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==\s*([^\s;\\]+)")


def pins(lines: Iterable[str]) -> dict[str, str]:
    """Read ``name==version`` lines of a lock or of requirements, names as PyPI compares them."""
    matches = (_PIN.match(line.strip()) for line in lines)
    return {re.sub(r"[-_.]+", "-", match[1]).lower(): match[2] for match in matches if match}


def moved(before: dict[str, str], after: dict[str, str]) -> tuple[str, ...]:
    """Say, a line each, what comes, goes and changes; sorted by name."""
    names = sorted(before.keys() | after.keys())
    return tuple(
        _line(name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    )


def _line(name: str, was: str | None, becomes: str | None) -> str:
    if was is None:
        return f"+ {name} {becomes}"
    return f"- {name} {was}" if becomes is None else f"  {name} {was} -> {becomes}"
