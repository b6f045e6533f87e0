"""Laurel as a wheel: what is in it, and that it works in a place of its own (docs/install.md)."""

import os
import shlex
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline import own_release
from tests.architecture.commands import ROOT, commands
from tests.servers.checkout import check_out, uv_cache
from tests.servers.prompt import type_

pytestmark = pytest.mark.xdist_group("installed")
TYPED = commands(ROOT / "docs/install.md")
BY_UV = [each for each in TYPED if not each.startswith("docker ")]  # test_own_image.py has those
LIST = "from importlib.metadata import distributions as d; print(*(each.name for each in d()))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the wheel of this checkout, elsewhere."""
    folder = check_out(tmp_path_factory.mktemp("sources"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made, _ = own_release.build(folder / "dist", os.environ)
    return made


def test_the_wheel_has_every_module_what_images_need_and_the_licence_and_nothing_else(
    wheel: Path,
) -> None:
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        entry_points = opened.read("laurel-0.1.0.dist-info/entry_points.txt").decode()
        licence = opened.read("laurel-0.1.0.dist-info/licenses/LICENSE")
    assert "laurel = pipeline.cli:main" in entry_points
    assert licence == (ROOT / "LICENSE").read_bytes()
    code = {name for name in names if not name.startswith("laurel-0.1.0.dist-info/")}
    wanted = {
        str(file.relative_to(ROOT))
        for package in ("pipeline", "webhook_service")
        for file in (ROOT / package).rglob("*")
        if file.is_file() and (file.suffix == ".py" or file.name == "py.typed")
    }
    wanted |= {f"pipeline/dockerfiles/{file.name}" for file in (ROOT / "dockerfiles").iterdir()}
    assert code == {name for name in wanted if "__pycache__" not in name}


def test_wheel_and_sdist_are_the_same_bytes_from_another_folder_umask_and_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {}
    for umask, name in ((0o022, "here"), (0o077, "elsewhere")):
        before = os.umask(umask)
        try:
            folder = check_out(tmp_path / name)
            for file in folder.rglob("*.py"):
                os.utime(file, (umask, umask))
            monkeypatch.chdir(folder)
            own_release.main(["build", str(folder / "dist")], dict(os.environ))
        finally:
            os.umask(before)
        made[name] = {each.name: each.read_bytes() for each in (folder / "dist").glob("laurel-*")}
    assert made["here"] == made["elsewhere"]
    assert len(made["here"]) == 2


def typed(command: str, folder: Path) -> str:
    """Type a command in an empty folder of a user who has nothing but uv."""
    home = folder / "home"
    env = {
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "UV_CACHE_DIR": uv_cache(),
        "UV_PYTHON": sys.executable,
        "PATH": f"{home}/.local/bin:{folder}/tools:/usr/bin:/bin",
    }
    return type_(command, folder, env)


def test_uv_installs_it_as_a_tool_and_it_works_where_nothing_else_is(
    wheel: Path, tmp_path: Path
) -> None:
    shutil.copy(wheel, tmp_path)
    shutil.copy(ROOT / "dockerfiles/laurel.lock", tmp_path)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "uv").symlink_to(Path(sys.executable).parent / "uv")
    installed, version, _, steps = (typed(command, tmp_path) for command in BY_UV)
    assert (installed, version) == ("", "laurel, version 0.1.0\n")
    assert "signature and provenance" in steps
    assert (tmp_path / "laurel.yaml").exists()
    where = typed("head -1 $(command -v laurel)", tmp_path)
    assert where.startswith(f"#!{tmp_path}/home/.local/share/uv/tools/laurel/")
    has = typed(f"{where.removeprefix('#!').strip()} -c {shlex.quote(LIST)}", tmp_path).split()
    assert "boto3" in has
    assert "pytest" not in has
