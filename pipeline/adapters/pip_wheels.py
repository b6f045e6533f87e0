"""A lock's wheels as files, fetched by pip on this host, where the credentials of indexes are.

pip's own settings (``PIP_INDEX_URL``, ``pip.conf``) say which index is asked; where they name none,
what uv was told, which resolved the lock.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeline.domain.evidence import Lock
from pipeline.errors import (
    CorruptedError,
    ForbiddenError,
    NotFoundError,
    PermanentError,
    StepError,
    UnavailableError,
)

_PATIENCE = 1200.0
_ATTEMPTED = "fetch the model's packages"
_INDEX = "package index"
_LONGEST = 1000
_URL = re.compile(r"\w+://\S+")
_NAMED = re.compile(r"[\w.-]+=(?=\S+://)")  # uv lets an index have a name: name=https://…
_LOCKED_OUT = re.compile(r"HTTP error 40[13]|40[13] Client Error|User for ")
_AWAY = re.compile(
    r"Retrying \(|connection error|timed out|Max retries|50\d Server Error|error 50\d"
)
_UNFETCHED = "Could not fetch URL"
_PAGES = 3
_LACKING = re.compile(r"No matching distribution found for (\S+)")


def fetch_wheels(lock: Lock, into: Path) -> None:
    """Put every wheel of the lock into a folder; each has one of the hashes that the lock allows.

    Raises
    ------
    UnavailableError
        Where the index does not answer in time.
    CorruptedError, NotFoundError, ForbiddenError, PermanentError
        Where a wheel is another one, is not there, is not ours to have; where the disk is full.

    """
    with tempfile.TemporaryDirectory() as empty:
        wanted, log = Path(empty) / "requirements.lock", Path(empty) / "pip.log"
        wanted.write_text(lock.text)
        command = [sys.executable, "-m", "pip", "download", "--quiet", f"--log={log}"]
        command += ["--require-hashes", "--no-deps", "--only-binary=:all:"]
        command += [f"--python-version={lock.python_version}"]
        command += ["--no-input", "--disable-pip-version-check", "--dest", str(into)]
        try:
            done = subprocess.run(
                [*command, "--requirement", str(wanted)],
                env=_environment(),
                cwd=empty,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            hint = f"pip did not end in {_PATIENCE / 60:.0f} minutes; is the index slow?"
            raise UnavailableError(_ATTEMPTED, _INDEX, hint) from error
        if done.returncode:
            raise read_fault(_unfetched(log) + done.stderr)


def read_fault(output: str) -> StepError:
    """Turn pip's output into an error; an index's address, which may hold credentials, is cut."""
    told = " ".join(_URL.sub("<package index>", output).split())[-_LONGEST:]
    if "DO NOT MATCH THE HASHES" in told:
        return CorruptedError(_ATTEMPTED, _INDEX, f"a wheel is not the locked one: {told}")
    if "No space left on device" in told:
        hint = "the disk is full: make room, then retry"
        return PermanentError(_ATTEMPTED, tempfile.gettempdir(), hint)
    if _LOCKED_OUT.search(told):
        hint = "it wants credentials: give them in pip's own settings"
        return ForbiddenError(_ATTEMPTED, _INDEX, hint)
    if _AWAY.search(told):
        hint = f"it does not answer; it is set in pip's own settings: {told}"
        return UnavailableError(_ATTEMPTED, _INDEX, hint)
    if lacking := _LACKING.search(told):
        hint = f"it has no wheel {lacking[1]}; it is set in pip's own settings (PIP_INDEX_URL)"
        return NotFoundError(_ATTEMPTED, _INDEX, hint)
    return PermanentError(_ATTEMPTED, "pip", f"it failed: {told}")


def _unfetched(log: Path) -> str:
    """Find why pages could not be read: pip tells that to its log alone, and goes on without."""
    with log.open(errors="replace") as lines:
        told = [line.partition(_UNFETCHED) for line in lines if _UNFETCHED in line]
    return "".join(f"{word}{why}" for _, word, why in told[-_PAGES:])


def _environment() -> dict[str, str]:
    """Tell pip of the indexes that uv was told of, unless it was told of its own."""
    environment = dict(os.environ)
    for pips, uvs in (
        ("PIP_INDEX_URL", ("UV_DEFAULT_INDEX", "UV_INDEX_URL")),
        ("PIP_EXTRA_INDEX_URL", ("UV_INDEX", "UV_EXTRA_INDEX_URL")),
        ("PIP_FIND_LINKS", ("UV_FIND_LINKS",)),
    ):
        said = " ".join(filter(None, map(environment.get, uvs)))
        if said:
            environment.setdefault(pips, _NAMED.sub("", said).replace(",", " "))
    return environment
