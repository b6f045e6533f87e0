"""Laurel's sources as git would check them out elsewhere: what a release is built of."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LEFT_OUT = ("tests/", "docs/", "k8s/")
_LOCK = "tests/requirements.lock"  # of the environment that builds


def check_out(folder: Path) -> Path:
    """Copy what git tracks or would track, but tests and pages, into a folder; return it."""
    files = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - the developer's git
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    for name in files:
        source, target = ROOT / name, folder / name
        if not name or (name.startswith(_LEFT_OUT) and name != _LOCK):
            continue
        if not source.exists():  # deleted, and git was not told yet
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(source.readlink())
        else:
            target.write_bytes(source.read_bytes())
            target.chmod(source.stat().st_mode & 0o777)
    return folder


def uv_cache() -> str:
    """Say where this user's uv keeps what this environment was made of: others have to fetch it."""
    asked = [sys.executable, "-m", "uv", "cache", "dir"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip()
