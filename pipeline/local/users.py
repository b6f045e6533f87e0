"""Whose servers run on which unpacked images: several Laurels of one user share the cache.

::

    <unpacked>/users/<hex>    the folder of a serving target, by the digest of its name

Each server's record there names the tree that it runs on.
"""

import hashlib
from pathlib import Path

from pipeline.image.blob_file import write_file
from pipeline.local.processes import Process


def register(unpacked: Path, state: Path) -> None:
    """Remember that a serving target's servers may run on unpacked images."""
    users = unpacked / "users"
    users.mkdir(parents=True, exist_ok=True)
    state = state.resolve()
    user = users / hashlib.sha256(str(state).encode()).hexdigest()[:32]
    if not user.exists():
        write_file(user, str(state).encode(), scratch=users)


def trees_in_use(unpacked: Path) -> set[Path] | None:
    """List the trees that any registered target's servers run on; ``None`` where nobody knows.

    A target whose folder is gone has no servers any more, and is forgotten.
    """
    in_use: set[Path] = set()
    try:
        for user in (unpacked / "users").glob("[0-9a-f]*"):
            state = Path(user.read_text())
            if not (state / "processes").is_dir():
                user.unlink(missing_ok=True)
                continue
            for record in (state / "processes").glob("*.json"):
                process = Process.recorded(record)
                root = None if process is None else process.notes.get("root")
                if not isinstance(root, str):
                    return None
                in_use.add(Path(root))
    except OSError:
        return None
    return in_use
