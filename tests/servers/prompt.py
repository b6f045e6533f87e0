"""A reader's prompt: what README.md and docs/ say is typed as it stands there."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.servers.unmeasured import unmeasured


def type_(
    command: str,
    folder: Path,
    env: Mapping[str, str] | None = None,
    say: Callable[[], object] = str,
) -> str:
    """Type a command in a folder; it must work, and what it printed is returned.

    ``env`` adds to our environment, in which ``laurel`` is found; ``say`` tells more about what
    did not work.
    """
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],  # noqa: S607 - the reader's shell
        cwd=folder,
        env={**unmeasured(), **path, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}\n{say()}"
    return done.stdout
