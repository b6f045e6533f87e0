"""``make bench``: run every benchmark here and write ``RESULTS.md``.

``python -m tests.benchmarks [--small] [--results FILE]``; ``--small`` only shows that it runs.
"""

import argparse
import importlib
import os
import platform
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_HERE = Path(__file__).parent
_PACKAGES = ("fastapi", "starlette", "uvicorn", "h11", "sqlalchemy", "pydantic")


def main(arguments: Iterable[str] | None = None) -> None:
    options = _options(arguments)
    sections = []
    for file in sorted(_HERE.glob("bench_*.py")):
        module = importlib.import_module(f"tests.benchmarks.{file.stem}")
        section: str = module.run(small=options.small)
        print(section, flush=True)  # noqa: T201 - progress and result of a command
        sections.append(section)
    options.results.write_text("\n".join([_head(), *sections]))


def _options(arguments: Iterable[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--small", action="store_true", help="tiny numbers that prove nothing")
    parser.add_argument("--results", type=Path, default=_HERE / "RESULTS.md")
    return parser.parse_args(None if arguments is None else list(arguments))


def _head() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        "# Benchmarks\n\n"
        "Written by `make bench`. The ratios are what counts: both sides ran in the same minutes "
        "on the same machine. The other figures are that machine's.\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} cores; Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version} (WAL, full sync), {packages}.\n"
    )


if __name__ == "__main__":
    main()
