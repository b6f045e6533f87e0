"""uv resolves a lock and installs it (``ports.LockResolver``).

uv's own settings (``UV_DEFAULT_INDEX`` and its kin, ``uv.toml``) say which package index is
asked; the lock names none. Only wheels are taken: building a source distribution would run a
stranger's code here.
"""

import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

import uv

from pipeline.adapters.uv_environment import compile_bytecode, drop_scripts
from pipeline.adapters.uv_refusal import read_fault, read_refusal
from pipeline.domain.evidence import Lock, Refused
from pipeline.domain.references import Digest
from pipeline.errors import UnavailableError

_PATIENCE = 1200.0


class UvResolver:
    """Runs the uv that was installed with Laurel."""

    def __init__(self) -> None:
        self._uv = uv.find_uv_bin()

    def resolve(
        self,
        requirements: Iterable[str],
        *,
        runtime: str,
        python_version: str,
        fresh: bool = True,  # noqa: ARG002 - every answer is
    ) -> Lock | Refused:
        """Resolve to wheels with hashes for one Python; a refusal names the packages."""
        done = self._run(
            "compile",
            "-",
            "--generate-hashes",
            "--only-binary=:all:",
            f"--python-version={python_version}",
            "--no-header",
            "--no-annotate",
            given="\n".join(requirements),
        )
        if done.returncode != 0:
            return read_refusal(done.stderr, python_version)
        return Lock(done.stdout, Digest.of(done.stdout.encode()), runtime, python_version)

    def install(self, lock: Lock, target: Path, *, python: Path) -> None:
        """Install the lock's wheels into the folder ``target``, compiled, the same everywhere."""
        done = self._run(
            "install",
            "--target",
            str(target.resolve()),
            "--python",
            str(python),
            "--require-hashes",
            "--no-deps",
            "--only-binary=:all:",
            "--link-mode=hardlink",
            "--requirements",
            "-",
            given=lock.text,
        )
        if done.returncode != 0:
            raise read_fault(done.stderr)
        drop_scripts(target)
        compile_bytecode(target, python)

    def _run(self, verb: str, *arguments: str, given: str) -> subprocess.CompletedProcess[str]:
        # An empty working folder: uv reads uv.toml and pyproject.toml from the one it starts in.
        with tempfile.TemporaryDirectory() as empty:
            try:
                return subprocess.run(
                    [self._uv, "pip", verb, "--quiet", *arguments],
                    input=given,
                    cwd=empty,
                    capture_output=True,
                    text=True,
                    timeout=_PATIENCE,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise UnavailableError(
                    f"{verb} the model's requirements",
                    "package index",
                    f"uv did not end in {_PATIENCE / 60:.0f} minutes; is the index slow?",
                ) from error
