"""What is installed from a wheel has everything that it reads at run time."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import uv

ROOT = Path(__file__).parents[2]
PARTS = ("pyproject.toml", "README.md", "LICENSE", "pipeline", "webhook_service", "dockerfiles")
ASK = """
from importlib.resources import files
from pipeline.runtimes.serving import serve_files
folder = files("pipeline") / "dockerfiles"
print(folder)
assert b"FROM ${BASE}" in (folder / "model.Dockerfile").read_bytes()
assert (folder / "install.py").read_bytes()
assert serve_files("mlflow")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the sources, and unpack it."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source").mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            unwanted = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, folder / "source" / name, symlinks=True, ignore=unwanted)
        else:
            shutil.copy(ROOT / name, folder / "source" / name)
    command = [uv.find_uv_bin(), "build", "--quiet", "--offline", "--wheel", "--no-build-isolation"]
    command += ["--python", sys.executable, "--out-dir", str(folder), str(folder / "source")]
    subprocess.run(command, check=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_a_wheel_brings_the_files_that_go_into_images(installed: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=installed,
        env={"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == str(installed / "pipeline" / "dockerfiles")


def test_a_wheel_brings_every_module(installed: Path) -> None:
    for package in ("pipeline", "webhook_service"):
        here = {path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py")}
        assert here <= {path.relative_to(installed) for path in (installed / package).rglob("*.py")}
