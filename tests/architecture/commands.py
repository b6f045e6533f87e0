"""What README.md and docs/ tell people to type, and what they say the answer is."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r" +# .*$", re.MULTILINE)


def commands(page: Path) -> list[str]:
    """List a page's commands, without comments; a line that is indented continues the one above."""
    blocks = _BLOCK.findall(page.read_text())
    return [
        command
        for block in blocks
        for command in re.split(r"\n(?! )", _COMMENT.sub("", block.strip()))
    ]


def shown(page: Path, command: str) -> str:
    """Return the output that a page shows between ``<!-- command -->`` and its end."""
    found = re.search(
        rf"^<!-- {command} -->\n```\n(.*?)^```\n<!-- /{command} -->$",
        page.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert found, f"{page.name} shows no output of {command}"
    return found[1]
