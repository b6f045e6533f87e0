import subprocess
import sys

_SLOW = {"alembic", "cryptography", "dbos", "fastapi", "pydantic", "rich", "sqlalchemy", "urllib3"}


def test_help_loads_no_library_that_is_slow_to_load() -> None:
    program = (
        "import sys\n"
        "from pipeline.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith("Usage:")
    assert "click" in ended.stderr.split()
    assert _SLOW.isdisjoint(ended.stderr.split())


def test_an_image_is_verified_without_loading_database_or_engine() -> None:
    program = "import sys, pipeline.wiring; print(*sys.modules)"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert {"sqlalchemy", "alembic", "dbos", "fastapi"}.isdisjoint(ended.stdout.split())


def test_the_package_runs_as_a_program() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline", "--version"], capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith("laurel, version ")
