"""An installed set of wheels becomes the same bytes on every machine, and starts fast.

``uv pip install --target`` differs between hosts only in the scripts of ``bin/``, which name the
installing interpreter; an image starts none of them, so they go. uv writes no bytecode: with it a
model server starts in less than half the time.
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import PermanentError

IN_IMAGE = "/opt/laurel/env"
"""Where the environment lies in an image; tracebacks name files below it."""
_NOTED = "uv_cache.json"


def drop_scripts(target: Path) -> None:
    """Remove ``bin/`` and what uv notes for itself, and the lines of each ``RECORD`` on them.

    Of a wheel that came from a folder, uv notes when that file was written.
    """
    shutil.rmtree(target / "bin", ignore_errors=True)
    (target / ".lock").unlink(missing_ok=True)
    for noted in target.glob(f"*.dist-info/{_NOTED}"):
        noted.unlink()
    for record in target.glob("*.dist-info/RECORD"):
        lines = record.read_bytes().splitlines(keepends=True)
        gone = (b"bin/", f"{record.parent.name}/{_NOTED},".encode())
        kept = [line for line in lines if not line.startswith(gone)]
        if kept != lines:
            # The file may be a hard link into uv's cache: it is replaced, never written into.
            with tempfile.NamedTemporaryFile(dir=target, delete=False) as replacement:
                replacement.writelines(kept)
            Path(replacement.name).replace(record)


def compile_bytecode(target: Path, python: Path) -> None:
    """Compile everything for the image's interpreter, with no trace of this machine.

    Hashes that nobody checks stand in for timestamps; paths in tracebacks are the image's. What is
    no valid Python (templates, code of other versions) stays uncompiled, as with pip.
    """
    done = subprocess.run(
        [
            str(python),
            "-I",
            "-m",
            "compileall",
            "-q",
            "-j0",
            "--invalidation-mode=unchecked-hash",
            f"-s{target.resolve()}",
            f"-p{IN_IMAGE}",
            str(target.resolve()),
        ],
        env={**_kept(os.environ), "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "Errno" in done.stdout + done.stderr:
        raise PermanentError("compile the environment", str(target), _errno(done.stdout))


def _kept(environment: Mapping[str, str]) -> dict[str, str]:
    """Keep what an interpreter needs to start: in Laurel's own image, its libraries' folder."""
    return {name: environment[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in environment}


def _errno(output: str) -> str:
    found = re.search(r"\[Errno \d+\] ([^:']*)", output)
    return f"{found[1] if found else 'it failed'}: make room or mend the folder, then retry"
