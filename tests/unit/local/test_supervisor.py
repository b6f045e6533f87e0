import errno
import json
import time
from pathlib import Path

import pytest

from pipeline.adapters.layout_registry import LayoutRegistry
from pipeline.domain.references import Digest, ImageRef
from pipeline.local.desired import Deployed
from pipeline.local.front import Front
from pipeline.local.rootfs import Rootfs, RootfsCache
from pipeline.local.supervisor import Supervisor


def test_nobody_else_may_look_at_what_serves(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "serving"
    images = RootfsCache(tmp_path / "unpacked", LayoutRegistry(tmp_path / "images"))
    Supervisor(Front(folder), images)
    modes = {path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir())}
    assert modes == {0o700}


class FullDisk(RootfsCache):
    """Has no room for any image; ``asked`` counts."""

    asked = 0

    def provide(self, image: ImageRef) -> Rootfs:
        self.asked += 1
        raise OSError(errno.ENOSPC, "No space left on device", str(image))


@pytest.fixture
def full(tmp_path: Path) -> FullDisk:
    return FullDisk(tmp_path / "unpacked", LayoutRegistry(tmp_path / "images"))


DEPLOYED = Deployed(ImageRef("ml/fraud", Digest.of(b"image")), 1)


def test_a_server_for_which_there_is_no_room_stops_nothing_else(
    tmp_path: Path, full: FullDisk
) -> None:
    supervisor = Supervisor(Front(tmp_path / "serving"), full)
    supervisor._keep("fraud-00001", DEPLOYED)
    assert "No space left" in (tmp_path / "serving" / "output" / "fraud-00001.log").read_text()


@pytest.mark.parametrize(("ago", "asked"), [(1.0, 0), (1000.0, 1), (-1000.0, 1)])
def test_a_server_that_died_waits_a_little_but_not_for_a_clock_that_was_set_back(
    tmp_path: Path, full: FullDisk, ago: float, asked: int
) -> None:
    supervisor = Supervisor(Front(tmp_path / "serving"), full)
    record = {"pid": 1 << 22, "start": 1, "boot": "another", "at": time.time() - ago, "starts": 3}
    (tmp_path / "serving" / "processes" / "fraud-00001.json").write_text(json.dumps(record))
    supervisor._keep("fraud-00001", DEPLOYED)
    assert full.asked == asked
