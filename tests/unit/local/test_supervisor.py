from pathlib import Path

from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.local.front import Front
from pipeline.local.rootfs import RootfsCache
from pipeline.local.supervisor import Supervisor


def test_nobody_else_may_look_at_what_serves(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "serving"
    images = RootfsCache(tmp_path / "unpacked", LayoutRegistry(tmp_path / "images"))
    Supervisor(Front(folder), images)
    modes = {path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    assert modes == {0o700}
