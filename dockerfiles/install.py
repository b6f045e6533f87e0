"""Install a lock's wheels inside a build: ``python3 install.py CONTEXT IMAGE``.

Runs with the base's interpreter and nothing else: pip comes along in the context. Every wheel must
have the lock's hash; there is no network and no index. What is written below ``IMAGE`` is a tree as
it will lie in the image, without a trace of when it was made.
"""

import compileall
import os
import py_compile
import runpy
import shutil
import sys
from pathlib import Path

ENVIRONMENT = "/opt/laurel/env"
REFUSED = 3  # these packages on this base: no fault of the engine's


def install(context: Path, target: Path) -> None:
    """Let pip install what the lock names, and nothing that it does not."""
    sys.path.insert(0, str(context / "library"))
    sys.argv = ["pip", "install", "--isolated", "--no-index", f"--find-links={context / 'wheels'}"]
    sys.argv += ["--require-hashes", "--no-deps", "--only-binary=:all:", "--no-compile", "--quiet"]
    sys.argv += ["--no-cache-dir", "--disable-pip-version-check", "--root-user-action=ignore"]
    sys.argv += [f"--target={target}", f"--requirement={context / 'requirements.lock'}"]
    try:
        runpy.run_module("pip", run_name="__main__")
    except SystemExit as ended:
        if ended.code:
            sys.exit(REFUSED)


def drop_scripts(target: Path) -> None:
    """Remove ``bin/``, of which an image starts nothing, and what each ``RECORD`` says of it."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    for record in target.glob("*.dist-info/RECORD"):
        lines = record.read_bytes().splitlines(keepends=True)
        record.write_bytes(b"".join(line for line in lines if not line.startswith(b"../../bin/")))


def compile_bytecode(target: Path) -> None:
    """Compile everything; what is no valid Python stays as it is, as with pip."""
    compileall.compile_dir(
        target,
        quiet=2,
        stripdir=str(target),
        prependdir=ENVIRONMENT,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )


def forget_time(root: Path) -> None:
    """Give everything one time, and one of two modes."""
    for folder, _, names in os.walk(root, topdown=False):
        for name in names:
            path = Path(folder, name)
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
            os.utime(path, (0, 0))
        Path(folder).chmod(0o755)
        os.utime(folder, (0, 0))


def main() -> None:
    """Install, tidy up, compile."""
    context, root = Path(sys.argv[1]), Path(sys.argv[2])
    target = root / ENVIRONMENT.lstrip("/")
    target.mkdir(parents=True)
    install(context, target)
    drop_scripts(target)
    compile_bytecode(target)
    forget_time(root)


if __name__ == "__main__":
    main()
