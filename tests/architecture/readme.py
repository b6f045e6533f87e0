"""What README.md says to type, and what it points at."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
RUN_ELSEWHERE = {
    "make demo": "tests/acceptance/test_demo.py",
    "make dev": "the environment that runs this test",
    "alias laurel=.venv/bin/laurel": "a name for the shell",
}
"""Commands that another test runs, or that none can."""


def commands() -> list[str]:
    """List the commands of README's shell blocks, in order, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [
        line.partition("  #")[0].partition(" # ")[0]
        for block in blocks
        for line in block.splitlines()
    ]
    return [line.strip() for line in lines if line.strip()]
